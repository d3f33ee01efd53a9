# Stands in for the published image of Python: Debian's own Python, as `python`, with pip.
ARG BASE
FROM ${BASE}
# How this machine reaches a package index; the published image gets by without.
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends python3 python3-pip python3-venv tzdata > /dev/null \
    && rm -r /var/lib/apt/lists /usr/lib/python3*/EXTERNALLY-MANAGED \
    && ln -s python3 /usr/bin/python
CMD ["python3"]
