"""What every Kubernetes object of the program tells the engine about itself."""

from typing import Any

import pulumi
from pulumi.runtime.mocks import MockMonitor

from infra import kube
from tests.unit.fake_cloud import FakeCloud


class Recorder(MockMonitor):
    """Keeps the requests themselves: a mock sees an object's fields and not its options."""

    def __init__(self) -> None:
        super().__init__(FakeCloud())
        self.requests: list[Any] = []

    def RegisterResource(self, request: Any) -> Any:
        self.requests.append(request)
        return super().RegisterResource(request)


def test_an_object_is_deleted_before_another_of_its_name_is_made() -> None:
    recorder = Recorder()
    pulumi.runtime.set_mocks(FakeCloud(), monitor=recorder)

    @pulumi.runtime.test
    def program() -> None:
        kube.Object({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}})

    program()
    made = [each for each in recorder.requests if each.type == "kubernetes:core/v1:Secret"]
    assert [each.deleteBeforeReplace for each in made] == [True]
