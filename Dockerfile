# Two images from one wheel: `operator` and `server`. `make wheels` first collects all that is installed here, so that the
# build needs no network and is repeatable: the locked dependencies with their hashes, and the project's own wheel.
#
#   make wheels && docker build --target server --tag realtime-server .
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS operator-build
COPY dist/wheels/operator/ /wheels/
RUN python3 -m venv --without-pip /opt/realtime && \
    /opt/realtime/bin/python $(echo /wheels/pip-*.whl)/pip install --quiet --no-cache-dir --no-index --find-links /wheels \
      --require-hashes --no-deps --requirement /wheels/requirements.txt
COPY dist/wheels/own/ /own/
RUN /opt/realtime/bin/python $(echo /wheels/pip-*.whl)/pip install --quiet --no-cache-dir --no-index --no-deps /own/*.whl

FROM ${BASE} AS server-build
COPY dist/wheels/server/ /wheels/
RUN python3 -m venv --without-pip /opt/realtime && \
    /opt/realtime/bin/python $(echo /wheels/pip-*.whl)/pip install --quiet --no-cache-dir --no-index --find-links /wheels \
      --require-hashes --no-deps --requirement /wheels/requirements.txt
COPY dist/wheels/own/ /own/
RUN /opt/realtime/bin/python $(echo /wheels/pip-*.whl)/pip install --quiet --no-cache-dir --no-index --no-deps /own/*.whl

# Everything is compiled when it is installed: a read-only root file system needs no __pycache__.
FROM ${BASE} AS operator
LABEL org.opencontainers.image.title="realtime-operator" \
      org.opencontainers.image.description="Turns one RealtimeCluster into a running realtime service" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/realtime/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=operator-build /opt/realtime /opt/realtime
USER 65532:65532
ENTRYPOINT ["realtime-operator"]

FROM ${BASE} AS server
LABEL org.opencontainers.image.title="realtime-server" \
      org.opencontainers.image.description="The WebSocket server of a RealtimeCluster" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/realtime/bin:$PATH PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=server-build /opt/realtime /opt/realtime
USER 65532:65532
EXPOSE 8000 8001 8002
ENTRYPOINT ["realtime-server"]
CMD ["run"]
