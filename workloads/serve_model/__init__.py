"""The server behind each served model: KServe's Python server, around one MLflow model directory."""
