"""A network elsewhere: in an ONNX file, as tensors with names, and tensors back into a network."""

from .named import fill, tensors
from .onnx_file import write_onnx
