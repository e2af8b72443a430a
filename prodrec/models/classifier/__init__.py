"""The classifier of a level: scores = W x + b over up to millions of classes, and its softmax cross-entropy.

`cosine.py` has its other form, s · cos(x, w), `long_tail.py` class weights, focal loss and margins, and
`tree_smoothing.py` soft labels by distance in the category tree.

A training step visits the classes in chunks that fit the cache, each chunk in one thread. At most one buffer of rows ×
classes is in memory and, with the fused update of step 4, no gradient of W.

1. Forward, per chunk: compute the scores of all rows, then the maximum of every row, its sum of exp(score − maximum)
   and the score of its label. Store exp(score − maximum) in the score buffer.
2. The loss of a row is log Σ exp(score) over all chunks, minus the score of its label.
3. Backward, per chunk: turn the buffer into ∂loss/∂scores in place. Two products give the gradients of the features and
   of the chunk's weights.
4. Apply the optimizer's update of these weights at once (fused update), while they are in the cache. Without it, a
   chunk's gradient is stored in the gradient of W.

The score buffer is kept from one training step to the next, because fresh memory costs more than the arithmetic on it.
If the scores exceed `buffer_gib`, the backward pass computes them again and there is no buffer. If classes are sharded,
every rank sees the rows of all ranks, and step 2 reduces four numbers per row over the ranks: the maximum, the sum of
exp(score − maximum), the score of the label, and the sum of the scores, which label smoothing needs (soft labels weigh
its terms). If classes are sampled, a training step includes those of the labels and a random share of the others.

Measured at 1,000,000 classes × 512 features, batch 256, two cores (benchmarks/README.md): a step takes 2.69 s in bf16,
where linear + cross_entropy + SGD takes 10.42 s, and 0.60 of the memory; in fp32 5.09 s, 11.30 s and 0.66.
"""
