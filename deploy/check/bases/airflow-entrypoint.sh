#!/bin/bash
# As the published image: words that are no program are Airflow's.
set -euo pipefail
case "${1:-}" in
    airflow | bash | python) exec "$@" ;;
    *) exec airflow "$@" ;;
esac
