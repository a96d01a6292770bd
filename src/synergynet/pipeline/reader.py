"""``FaceReader``: views of photos in, faces out; all that the network is asked about them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..detection import Detection
from ..face_model.model import FaceModel
from ..geometry.boxes import non_maximum_suppression, outline
from ..geometry.conventions import Conventions
from ..geometry.params import FloatArray
from ..regression import ParamsRegressor, Prediction
from .face import Face, landmarks_in_images, poses_in_images
from .looks import View, follow, look, look_again

SAME_FACE_IOU = 0.5
"""Two answers whose landmark boxes overlap more than this are one face."""

CONFIRMED = 0.8
"""Confidence of a face that the detector doubts and the network does not."""


@dataclass(frozen=True)
class FaceReader:
    """Networks and a face model, and which answers are faces.

    Attributes:
        first: takes the first look.
        regressor: takes those between; its answers decide on frame and crop rule.
        last: takes the last look.
        face_model: that their parameters drive.
        conventions: of the faces' poses.
        passes: looks at a face.
        min_confidence: of a face, 0 to 1.
        doubtful_below: score of the detector below which a face needs ``CONFIRMED``.
    """

    first: ParamsRegressor
    regressor: ParamsRegressor
    last: ParamsRegressor
    face_model: FaceModel
    conventions: Conventions
    passes: int
    min_confidence: float
    doubtful_below: float

    @property
    def can_turn(self) -> bool:
        """Whether answers to turned crops can be turned back."""
        return self.regressor.info.frame == "pixel"

    def faces(
        self,
        photos: Sequence[NDArray[np.uint8]],
        detections: Sequence[Detection | None],
        views: Sequence[View],
        answer: Prediction,
    ) -> list[Face]:
        """The faces of N answered views, with their landmarks and poses."""
        expected = answer.expected_nme
        every = self._landmarks(answer.params, views, self.regressor)
        crops, frame = [view.crop for view in views], self.regressor.info.frame
        poses = poses_in_images(answer.params, crops, frame, self.conventions)
        faces = []
        for i, (detection, view) in enumerate(zip(detections, views, strict=True)):
            height, width = photos[view.photo].shape[:2]
            face = Face(
                box=outline(every[i]) if detection is None else detection.box,
                score=0.0 if detection is None else detection.score,
                params=answer.params[i],
                crop=view.crop,
                frame=frame,
                face_model=self.face_model,
                image_size=(height, width),
                conventions=self.conventions,
                expected_nme=None if expected is None else float(expected[i]),
            )
            face.__dict__.update(landmarks=every[i], pose=poses[i])
            faces.append(face)
        return faces

    def is_face(self, face: Face) -> bool:
        """Whether the network believes in what the detector found, where it can tell."""
        doubted = face.score < self.doubtful_below
        least = max(self.min_confidence, CONFIRMED) if doubted else self.min_confidence
        return face.confidence is None or face.confidence >= least

    def look(
        self, photos: Sequence[NDArray[np.uint8]], views: Sequence[View]
    ) -> tuple[Sequence[View], Prediction]:
        """All looks at N faces of ``photos``, (H, W, 3) uint8 BGR.

        Args:
            views: of the first look.

        Returns:
            The N views of the last look, and its answers.

        Raises:
            SynergyNetError: a network answers with NaN.
        """
        network, rule = self.first, self.regressor.info.crop_rule
        answer = look(network, photos, views)
        for turn in range(1, self.passes):
            landmarks = self._landmarks(answer.params, views, network)
            following = follow(views, answer, landmarks, photos, rule, turn=self.can_turn)
            before, network = network, self.last if turn + 1 == self.passes else self.regressor
            if network is before:
                views, answer = look_again(network, photos, views, following, answer)
            else:
                views, answer = following, look(network, photos, following)
        return views, answer

    def turn_doubted(
        self, photos: Sequence[NDArray[np.uint8]], views: Sequence[View], faces: list[Face]
    ) -> None:
        """Look again at what the detector is sure of and the network is not, turned by quarters.

        The detector's points of a face that is upside down may be those of one that is not.

        Args:
            views: of the first look.
            faces: what came of them; answers that the network believes in take their places.
        """
        rows = [i for i, face in enumerate(faces) if self._may_be_turned(face)]
        turned = [
            replace(views[i], quarters=(views[i].quarters + more) % 4)
            for i in rows
            for more in (1, 2, 3)
        ]
        if not turned:
            return
        found = [Detection(faces[i].box, faces[i].score) for i in rows for _ in range(3)]
        tried = self.faces(photos, found, *self.look(photos, turned))
        for number, i in enumerate(rows):
            best = max(tried[3 * number : 3 * number + 3], key=lambda face: face.confidence or 0.0)
            if self.is_face(best):
                faces[i] = best

    def _may_be_turned(self, face: Face) -> bool:
        sure = face.score >= self.doubtful_below
        return self.can_turn and sure and face.confidence is not None and not self.is_face(face)

    def _landmarks(
        self, params: FloatArray, views: Sequence[View], network: ParamsRegressor
    ) -> FloatArray:
        """(N, 62) raw parameters that ``network`` answered -> (N, 68, 3), image frames."""
        crops = [view.crop for view in views]
        return landmarks_in_images(self.face_model, params, crops, network.info.frame)


def different_faces(faces: list[Face]) -> list[Face]:
    """Faces of one photo, best score first, without second answers to one face."""
    if len(faces) < 2:
        return faces
    outlines = np.array([outline(face.landmarks) for face in faces])
    scores = np.array([face.score for face in faces])
    kept = non_maximum_suppression(outlines, scores, SAME_FACE_IOU)
    return [faces[i] for i in kept.tolist()]
