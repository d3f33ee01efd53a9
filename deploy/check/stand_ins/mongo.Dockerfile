# Stands in for the published image of MongoDB: mongod of the wheel that the tests use, and the real shell.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends libcurl4 nodejs > /dev/null \
    && rm -r /var/lib/apt/lists \
    && groupadd --gid 999 mongodb && useradd --uid 999 --gid 999 --home-dir /data/db mongodb \
    && install -d -o mongodb -g mongodb /data/db /data/configdb
COPY mongo /opt/mongo
ENV PATH=/opt/mongo/bin:$PATH
VOLUME /data/db /data/configdb
EXPOSE 27017
ENTRYPOINT ["mongod"]
