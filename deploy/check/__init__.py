"""Checks docker-compose.yml and both images as far as this machine allows: ``make compose-check``.

With an engine, the images are built and the whole system is brought up as a private project with its own ports and
volumes, which are removed at the end. Where they cannot be pulled, the published base images are stood in for by local
ones (``bases/``) that are called by private names: nothing is ever tagged as a published image.
"""
