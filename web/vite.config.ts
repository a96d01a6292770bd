import { fileURLToPath } from 'node:url'
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const out = here('../src/synergynet/serve/data')
const ort = here('node_modules/onnxruntime-web/dist')

const PACKAGES = ['three', 'preact', '@preact/signals', '@preact/signals-core', 'onnxruntime-web', 'onnxruntime-common']

/** The licences of what is in the built page. */
function notices(): string {
  const parts = PACKAGES.map((name) => {
    const folder = here(`node_modules/${name}`)
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as Record<string, string>
    const own = `${folder}/LICENSE`
    const text = readFileSync(existsSync(own) ? own : here('licences/onnxruntime.txt'), 'utf8')
    return `${name} ${version} (${license})\n\n${text.trim()}\n`
  })
  const head =
    'The page in this folder was built from these packages. ort.wasm.gz holds the libraries that\n' +
    'ONNX Runtime lists in its ThirdPartyNotices.txt:\n' +
    'https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt\n'
  return [head, ...parts].join(`\n${'-'.repeat(72)}\n\n`)
}

/** ONNX Runtime's own files beside the bundle: its threads load them by address. */
const runtime: Plugin = {
  name: 'runtime',
  closeBundle() {
    writeFileSync(`${out}/NOTICES.txt`, notices())
    copyFileSync(`${ort}/ort-wasm-simd-threaded.mjs`, `${out}/ort.mjs`)
    writeFileSync(`${out}/ort.wasm.gz`, gzipSync(readFileSync(`${ort}/ort-wasm-simd-threaded.wasm`), { level: 9 }))
  },
}

const names = { entryFileNames: '[name].js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' }

export default defineConfig({
  base: './',
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'import', 'default'] },
  plugins: [runtime],
  worker: { format: 'es', rollupOptions: { output: names } },
  build: {
    outDir: out,
    emptyOutDir: true,
    assetsDir: '',
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    rollupOptions: { input: { index: here('index.html'), docs: here('docs.html') }, output: names },
  },
  test: { environment: 'node' },
} as Parameters<typeof defineConfig>[0])
