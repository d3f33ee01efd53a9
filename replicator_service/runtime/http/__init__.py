"""The HTTP server: probes, metrics, status and the page."""
