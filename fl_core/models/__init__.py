"""Models as named float32 tensors, as one flat vector, and as canonical safetensors bytes.

A model travels and is archived as a safetensors file whose SHA-256 the ledger holds; training sees named tensors; secure
aggregation sees one vector, the tensors joined in the order of their names.
"""

from fl_core.models.artifact import decode_model, encode_model, model_digest
from fl_core.models.tensors import (
    Tensors,
    TensorSpec,
    flatten,
    same_model,
    specs_of,
    unflatten,
    vector_length,
)

__all__ = [
    "TensorSpec",
    "Tensors",
    "decode_model",
    "encode_model",
    "flatten",
    "model_digest",
    "same_model",
    "specs_of",
    "unflatten",
    "vector_length",
]
