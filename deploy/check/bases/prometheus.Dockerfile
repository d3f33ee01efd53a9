# Stands in for the published image of Prometheus: Debian's, which is older.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends prometheus > /dev/null \
    && rm -r /var/lib/apt/lists \
    && install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
