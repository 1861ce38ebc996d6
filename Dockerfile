# An image of Forebay; how to run it: docs/deploying.md. `npm run image` does these steps without a container engine.
#
# Tags move as fixes come. To build the same image again, name digests instead: node:24-bookworm-slim@sha256:...
# Both stages are the same release of Debian, as the last one takes the program `node` out of the first. Not Alpine:
# the library that locks the log directory has no build for musl, and Forebay says so and does not start.
ARG NODE=24
ARG DEBIAN=bookworm

FROM node:${NODE}-${DEBIAN}-slim AS build
WORKDIR /build
# first what seldom changes, so that a change of the code installs nothing again
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund
# the user of the image reads these files, whatever rights they have where it is built
RUN chmod -R a+rX bin dist node_modules package.json LICENSE

# Node.js and Forebay: no npm, no compiler, no sources.
FROM debian:${DEBIAN}-slim
RUN groupadd --gid 10001 forebay && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/forebay --shell /usr/sbin/nologin forebay && \
    install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/forebay
COPY --from=build /usr/local/bin/node /usr/local/bin/
WORKDIR /opt/forebay
COPY --from=build /build/package.json /build/LICENSE ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/bin bin
COPY --from=build /build/dist/lib dist/lib
COPY --from=build /build/dist/tools dist/tools

# Variables win over the file of --config, and flags over variables. 127.0.0.1, the default, is only the container itself.
ENV FOREBAY_HOST=0.0.0.0 \
    FOREBAY_ADMIN_HOST=0.0.0.0 \
    FOREBAY_ADMIN_PORT=8082 \
    FOREBAY_LOG_DIR=/var/lib/forebay/log
# A number, so that Kubernetes sees that it is not root.
USER 10001:10001
# Never in the layer of the container: it goes with the container, and its file system is an overlay.
VOLUME /var/lib/forebay
# 8081 takes events; 8082 is for operators: page, metrics and probes.
EXPOSE 8081 8082
STOPSIGNAL SIGTERM
# /health, not /ready: a full log or a start that replays is no reason to end a server.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 CMD ["node", "-e", "require('node:http').get({ host: '127.0.0.1', port: process.env.FOREBAY_ADMIN_PORT, path: '/health' }, (res) => process.exit(res.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# Node.js itself, so that it gets the signal of a stop.
ENTRYPOINT ["node", "/opt/forebay/bin/server.js"]
