# One site: the sidecar on Bun, and the nats-server that it runs.
# The versions are those of scripts/setup; test/unit/compose.test.ts compares them.
FROM nats:2.15.1 AS nats

FROM oven/bun:1.4.5-slim AS packages
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile --production --ignore-scripts

FROM oven/bun:1.4.5-slim
COPY --from=nats /nats-server /usr/local/bin/nats-server
COPY --from=packages /app/node_modules /app/node_modules
COPY package.json LICENSE /app/
COPY src /app/src
COPY routes /app/routes
RUN printf '#!/bin/sh\nexec bun /app/src/cli/main.ts "$@"\n' >/usr/local/bin/leafmesh \
  && chmod 755 /usr/local/bin/leafmesh \
  && install -d -o bun -g bun -m 755 /site \
  && install -d -o bun -g bun -m 700 /site/leafmesh-data
USER bun
# Here lie site.yaml, mounted by who runs the image, and the data folder: both are found without a flag.
WORKDIR /site
VOLUME /site/leafmesh-data
# Apps, peers, API.
EXPOSE 4222 7422 7480
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
  CMD ["bun", "-e", "process.exit((await fetch('http://127.0.0.1:7480/readyz')).ok ? 0 : 1)"]
ENTRYPOINT ["leafmesh"]
CMD ["up", "--log", "json"]
