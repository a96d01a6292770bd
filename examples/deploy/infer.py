"""Run a whole graph with ONNX Runtime and NumPy alone: no synergynet, no torch.

python examples/deploy/infer.py whole.onnx crop.bin
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
crops = np.fromfile(sys.argv[2], np.uint8).reshape(-1, 120, 120, 3)  # BGR
names = [output.name for output in session.get_outputs()]
answers = dict(zip(names, session.run(names, {"crops": crops}), strict=True))
yaw, pitch, roll = answers["yaw_pitch_roll"][0]
print(f"yaw {yaw:.2f}, pitch {pitch:.2f}, roll {roll:.2f} degrees")
x, y, z = answers["landmarks"][0, 30]  # 0-based pixels of the crop
print(f"tip of the nose: {x:.2f}, {y:.2f}, {z:.2f}; {answers['vertices'].shape[1]} vertices")
meaning = json.loads(session.get_modelmeta().custom_metadata_map["interface"])
print(f"landmarks: {meaning['landmarks']['meaning'][:58]}")
