"""The HTTP service: routes, batches, limits, metrics and the page. It knows a run by the protocols of `engine` alone.

request ─ guard (key, rate, size, log) ─ routes ─ uploads ─ decoding threads ─ BatchQueue ─ Engine.answer
"""
