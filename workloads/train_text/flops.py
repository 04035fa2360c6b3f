"""How many parameters a GPT has and how many FLOPs its training takes, by arithmetic.

The FLOPs are those of PaLM's appendix B (Chowdhery et al. 2022): 6 N a token for the products with weights
(2 N forward, 4 N backward), and 12 layers x width x context for attention's two products of activations. As
there, attention is counted over the whole context, though what lies ahead is masked; embedding and
recomputation are not counted. N is without the positions' embedding, which is only looked up; the bytes'
embedding is in N, because its matrix is also the last layer.
"""


def parameters(layers: int, width: int, vocabulary: int, context: int) -> int:
    """All of them, biases included, the last layer shared with the embedding."""
    norm = 2 * width
    attention = (width * 3 * width + 3 * width) + (width * width + width)
    perceptron = (width * 4 * width + 4 * width) + (4 * width * width + width)
    block = 2 * norm + attention + perceptron
    return vocabulary * width + context * width + layers * block + norm


def of_a_token(layers: int, width: int, vocabulary: int, context: int) -> int:
    """Forward and backward."""
    counted = parameters(layers, width, vocabulary, context) - context * width
    return 6 * counted + 12 * layers * width * context
