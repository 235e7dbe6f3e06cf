"""TensorFlow, declared without importing it."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="tensorflow",
    title="TensorFlow",
    opens="backends.tensorflow.backend:TensorFlowBackend",
    requires=("tensorflow", "keras"),
    extra="tensorflow",
    devices=("cpu", "cuda"),
    modes=("graph", "eager", "xla"),
    compiles="tracing of the step (tf.function), with XLA in mode xla only; in eager, nothing",
    flags={
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": "{threads}",
        "TF_NUM_INTEROP_THREADS": "{threads}",
        "OMP_NUM_THREADS": "{threads}",
        "OPENBLAS_NUM_THREADS": "1",  # NumPy's in the same process, which would wait for the framework's
    },
)
