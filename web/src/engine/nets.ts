/** YuNet and the landmark network in ONNX Runtime Web. */

import * as ort from 'onnxruntime-web/wasm'
import type { DetectorNet, Regressor } from '../core/types'

export interface Files {
  wasm: ArrayBuffer
  yunet: ArrayBuffer
  slim: ArrayBuffer
}

/** @param runtime address of ONNX Runtime's loader, for it and its threads. */
export async function openNets(files: Files, runtime: string, threads: number): Promise<{ detector: DetectorNet; regressor: Regressor }> {
  ort.env.wasm.wasmBinary = files.wasm
  ort.env.wasm.wasmPaths = { mjs: runtime }
  ort.env.wasm.numThreads = threads
  ort.env.logLevel = 'error'
  const open = (file: ArrayBuffer): Promise<ort.InferenceSession> =>
    ort.InferenceSession.create(file, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' })
  const yunet = await open(files.yunet)
  const slim = await open(files.slim)
  return {
    detector: {
      async run(planes, height, width) {
        const image = new ort.Tensor('float32', planes, [1, 3, height, width])
        return data(await yunet.run({ image }))
      },
    },
    regressor: {
      async run(planes, count) {
        const crops = new ort.Tensor('float32', planes, [count, 3, 120, 120])
        const { params, expected_nme: expected } = data(await slim.run({ crops }))
        return { params, expected }
      },
    },
  }
}

const data = (answers: ort.InferenceSession.OnnxValueMapType): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(answers).map(([name, { data }]) => [name, data as Float32Array]))
