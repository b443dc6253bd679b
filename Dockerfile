# syntax=docker/dockerfile:1
# Two images of one worker (docker build --target …):
#   worker        nothing but the two binaries, certificates and timezones; no shell, not root
#   worker-tools  the same with a shell, psql and Python, for looking around and for scripts beside a worker
# Build args: VERSION is what --version says; GO_VERSION and DEBIAN choose the base images.
ARG GO_VERSION=1.26.8
ARG DEBIAN=bookworm

FROM golang:${GO_VERSION}-${DEBIAN} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# By name: nothing else of the checkout, such as .drawbridge/ with its passwords, gets into a layer.
COPY activities ./activities
COPY internal ./internal
COPY starter ./starter
COPY worker ./worker
COPY workflows ./workflows
ARG VERSION=dev
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/drawbridge ./starter && \
    go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/drawbridge-worker ./worker

FROM debian:${DEBIAN}-slim AS worker-tools
RUN apt-get update && \
    apt-get install --yes --no-install-recommends bash ca-certificates postgresql-client python3 tzdata && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 65532 --create-home drawbridge
COPY --from=build /out/ /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/drawbridge-worker"]

# The last target is the one that is built when none is named.
FROM gcr.io/distroless/static-debian12:nonroot AS worker
COPY --from=build /out/ /usr/local/bin/
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/drawbridge-worker"]
