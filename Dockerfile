# Beam's Python SDK image with beam_sts and its embedded models, for remote workers:
#   docker build -t REGISTRY/beam_sts:0.1.0 .
#   python -m pipelines.score ... --sdk_container_image=REGISTRY/beam_sts:0.1.0
# Beam needs the same versions of Beam and Python on the workers and on the machine that launches the job.
ARG PYTHON_VERSION=3.11
ARG BEAM_VERSION=2.77.0
FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION}
ARG BEAM_VERSION
# Extras for the file systems of the workers' input and output, such as EXTRAS=gcs,s3, and torch for models other than
# BERT-hash: EXTRAS=gcs,torch.
ARG EXTRAS=gcs
# The package index of torch. For workers with GPUs: --build-arg TORCH_INDEX_URL=https://pypi.org/simple
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu

WORKDIR /opt/beam_sts

# A separate layer, because it is large and does not depend on the sources.
RUN case ",${EXTRAS}," in \
      *,torch,*) pip install --no-cache-dir --index-url "${TORCH_INDEX_URL}" "torch>=2.4" ;; \
    esac

COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE CHANGELOG.md ./
COPY beam_sts beam_sts
COPY pipelines pipelines
# With the image's version of Beam named, pip fails instead of replacing it if beam_sts does not allow that version.
RUN pip install --no-cache-dir "./[${EXTRAS}]" "apache-beam==${BEAM_VERSION}" \
    && pip check

# Check at build time that the embedded model loads and scores without access to the Hub, and that its engine was
# compiled: without the engine NumPy is used, which is much slower.
WORKDIR /
RUN HF_HUB_OFFLINE=1 python -c "import beam_sts; print(beam_sts.PairScorer().score([('a cat', 'a cat')]))" \
    && python -c "from beam_sts.scoring.engine import native; assert native.installed_library()"

# Workers start in this environment instead of building another one, and do not access the Hugging Face Hub. For a
# model from the Hub: --build-arg HF_HUB_OFFLINE=0.
ARG HF_HUB_OFFLINE=1
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    HF_HUB_OFFLINE=${HF_HUB_OFFLINE} \
    HF_HUB_DISABLE_TELEMETRY=1

# The user is root, because Dataflow mounts folders that only root may write. The entry point is Beam's.
ENTRYPOINT ["/opt/apache/beam/boot"]
