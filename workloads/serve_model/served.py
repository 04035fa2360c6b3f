"""The model as KServe's server knows it: from its requests to the model and back."""

import uuid
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model
from kserve.errors import InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from . import answers
from .metrics import Series
from .model import Loaded
from .signature import DATATYPES, Tensor, Unfit


class Served(Model):
    """One version of a model, under the name that all of its versions have."""

    def __init__(self, name: str, version: str, loaded: Loaded, series: Series) -> None:
        super().__init__(name)
        self.version, self.loaded, self._series = version, loaded, series
        self.ready = True

    def get_input_types(self) -> list[dict[str, Any]]:
        return self.loaded.inputs.metadata()

    async def preprocess(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """The checked input and the request that it came in, which says how to answer."""
        try:
            if isinstance(payload, InferRequest):
                return self.loaded.inputs.tensors([_tensor(each) for each in payload.inputs]), payload
            if not isinstance(payload, dict):
                raise Unfit(
                    "type",
                    "the request must be a JSON object with `instances`, as content-type: application/json",
                )
            return self.loaded.inputs.rows(payload.get("instances")), None
        except Unfit as unfit:
            self._series.refused(unfit.reason)
            raise InvalidInput(str(unfit)) from None

    async def predict(
        self,
        payload: Any,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        given, request = payload
        self._series.predictions.inc()
        result = self.loaded.predict(given)
        if request is None:
            return {"predictions": answers.rows(result)}
        return self._response(request, answers.tensors(result, self.loaded.outputs))

    def _response(self, request: InferRequest, outputs: dict[str, Any]) -> InferResponse:
        wanted = [each.name for each in request.request_outputs or ()]
        if unknown := [name for name in wanted if name not in outputs]:
            self._series.refused("unknown-output")
            raise InvalidInput(
                f"the model has no output {', '.join(unknown)}; its outputs are: {', '.join(outputs)}"
            )
        return InferResponse(
            model_name=self.name,
            model_version=self.version,
            response_id=request.id or str(uuid.uuid4()),
            infer_outputs=[_output(name, values) for name, values in outputs.items()],
            from_grpc=request.from_grpc,
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )


def _tensor(given: Any) -> Tensor:
    """Binary data as an array; what came as JSON, or in protobuf's lists, as it is."""
    values = given.data
    if given._raw_data is not None:
        try:
            values = given.as_numpy()
        except (ValueError, InvalidInput) as error:
            raise Unfit("shape", f"'{given.name}' brings other bytes than its shape says: {error}") from None
    return Tensor(given.name, given.datatype, tuple(given.shape), values)


def _output(name: str, values: Any) -> InferOutput:
    return InferOutput(name, list(values.shape), DATATYPES[str(values.dtype)], data=values)


class Plane(DataPlane):
    """KServe's data plane, which can say that it is about to end."""

    draining = False

    async def ready(self) -> bool:
        return not self.draining

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """With the version, which KServe leaves out."""
        about = await super().model_metadata(model_name)
        model = self.get_model_from_registry(model_name)
        return {**about, "platform": "mlflow", "versions": [model.version]}


class Fixed(ModelRepositoryExtension):
    """KServe's, which would let whoever may ask the model also take it away."""

    async def load(self, model_name: str) -> None:
        raise InvalidInput("what is served here does not change")

    unload = load
