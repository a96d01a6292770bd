// Run a whole graph with ONNX Runtime in node:
//   npm install onnxruntime-node && node examples/deploy/infer.js whole.onnx crop.bin
const fs = require("node:fs");
const ort = require("onnxruntime-node");

async function main(model, crop) {
  const session = await ort.InferenceSession.create(model);
  const pixels = new Uint8Array(fs.readFileSync(crop)); // BGR, 120 x 120 x 3 each
  const shape = [pixels.length / (120 * 120 * 3), 120, 120, 3];
  const answers = await session.run({ crops: new ort.Tensor("uint8", pixels, shape) });
  const [yaw, pitch, roll] = answers.yaw_pitch_roll.data;
  console.log(`yaw ${yaw.toFixed(2)}, pitch ${pitch.toFixed(2)}, roll ${roll.toFixed(2)} degrees`);
  const [x, y, z] = answers.landmarks.data.subarray(30 * 3, 31 * 3); // 0-based pixels of the crop
  const vertices = answers.vertices.dims[1];
  console.log(
    `tip of the nose: ${x.toFixed(2)}, ${y.toFixed(2)}, ${z.toFixed(2)}; ${vertices} vertices`,
  );
}

main(process.argv[2], process.argv[3]);
