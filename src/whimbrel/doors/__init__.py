"""Doors: how the recorder stands in the frameworks that apps are made of. Each is thin, and asks the framework by its own rules.

In: a framework's calls. Out: calls of a `Recorder`; nothing is patched. Apps import the door they need:

    asgi      RecordRequests: a request is a prediction (FastAPI, Starlette, any ASGI app); handler: times an endpoint
    sklearn   RecordedEstimator: each row that predict sees is a prediction, or a step of the one that runs
    onnx      RecordedSession: the same for ONNX Runtime
    torch     record_modules: the outputs of a PyTorch model's parts as steps
    logs      PredictionId: log records bear the id of the prediction that they belong to
    otel      RecordSpans: OpenTelemetry's spans, written ahead; language models by OpenInference and GenAI conventions
    trace     outgoing: the header that carries a trace on

A door imports its framework only where it is used, and fails in no way that the recorder would not.
"""
