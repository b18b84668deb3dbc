# Beam's own Python SDK image with beam_sts and its embedded models, for remote workers:
#   docker build -t REGISTRY/beam_sts:0.1.0 .
#   python -m pipelines.score ... --sdk_container_image=REGISTRY/beam_sts:0.1.0
# Beam wants the same Beam and Python versions on the workers as where the job is launched.
ARG PYTHON_VERSION=3.11
ARG BEAM_VERSION=2.77.0
FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION}
ARG BEAM_VERSION
# Extras: the file systems of the workers' input and output, such as EXTRAS=gcs,s3, and for other models than
# BERT-hash torch: EXTRAS=gcs,torch.
ARG EXTRAS=gcs
# Where torch comes from. For workers with GPUs: --build-arg TORCH_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu

WORKDIR /opt/beam_sts

# A layer of its own: it is the big one, and a change of our sources does not touch it.
RUN case ",${EXTRAS}," in \
      *,torch,*) pip install --no-cache-dir --index-url "${TORCH_INDEX_URL}" "torch>=2.4" ;; \
    esac

COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE CHANGELOG.md ./
COPY beam_sts beam_sts
COPY pipelines pipelines
# Naming the image's Beam makes pip fail, rather than replace it, when our range does not allow it.
RUN pip install --no-cache-dir "./[${EXTRAS}]" "apache-beam==${BEAM_VERSION}" \
    && pip check

# Proof at build time that the embedded model loads and scores, with the hub out of reach, and that its engine was
# compiled: without that, NumPy scores, far slower.
WORKDIR /
RUN HF_HUB_OFFLINE=1 python -c "import beam_sts; print(beam_sts.PairScorer().score([('a cat', 'a cat')]))" \
    && python -c "from beam_sts.scoring.engine import native; assert native.installed_library()"

# Everything is installed: workers start in this environment instead of building one of their own, and a fleet of
# them never asks a model hub for anything. For a model from the hub: --build-arg HF_HUB_OFFLINE=0.
ARG HF_HUB_OFFLINE=1
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    HF_HUB_OFFLINE=${HF_HUB_OFFLINE} \
    HF_HUB_DISABLE_TELEMETRY=1

# The user stays root: Dataflow mounts folders that only root may write. The entry point stays Beam's own.
ENTRYPOINT ["/opt/apache/beam/boot"]
