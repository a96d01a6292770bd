/** The turnable head. */

import {
  BufferAttribute,
  BufferGeometry,
  CanvasTexture,
  type Color,
  Group,
  LinearFilter,
  Matrix4,
  Mesh,
  PerspectiveCamera,
  SRGBColorSpace,
  Scene,
  WebGLRenderTarget,
  WebGLRenderer,
} from 'three'
import type { Face } from '../core/face'
import type { Head } from '../core/head'
import { facing, normals } from '../core/surface'
import { headMaterial, themeColor } from './materials'
import { set } from './reliefLayer'
import { cutPatch } from './texture'

const DISTANCE = 720 // millimetres
const TEXTURE = 1024

export class HeadView {
  private readonly renderer: WebGLRenderer
  private readonly scene = new Scene()
  private readonly camera = new PerspectiveCamera(24, 1, 50, 5000)
  private readonly pivot = new Group()
  private readonly geometry = new BufferGeometry()
  private readonly material = headMaterial()
  private texture: CanvasTexture | null = null
  private patch: HTMLCanvasElement | undefined
  /** Turned by the reader, degrees. */
  turn = { yaw: 0, pitch: 0 }

  constructor(
    canvas: HTMLCanvasElement,
    private readonly head: Head,
  ) {
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: true })
    this.renderer.setClearColor(0, 0)
    this.geometry.setIndex(new BufferAttribute(head.uvTriangles, 1))
    this.geometry.setAttribute('uv', new BufferAttribute(head.uv, 2))
    const mesh = new Mesh(this.geometry, this.material)
    mesh.frustumCulled = false
    this.pivot.add(mesh)
    this.scene.add(this.pivot)
    this.camera.position.z = DISTANCE
  }

  /** A shape of the model frame (V, 3). */
  setShape(vertices: Float32Array): void {
    const [low, high] = extent(vertices)
    const [x, y, z] = low.map((v, c) => (v + high[c]) / 2)
    this.pivot.children[0].position.set(-x, -y, -z)
    const opened = this.opened(vertices, 3)
    set(this.geometry, 'position', opened)
    set(this.geometry, 'model', opened.slice())
    set(this.geometry, 'normal', this.opened(normals(vertices, this.head.triangles), 3))
  }

  /** The photo of a face as the skin; null for the relief alone. `shape`: as the photo shows it. */
  setPhoto(photo: HTMLCanvasElement | null, face: Face | null, shape: Float32Array): void {
    const { uniforms } = this.material
    uniforms.usePhoto.value = photo !== null && face !== null
    if (!photo || !face) {
      if (!this.geometry.hasAttribute('photoUv')) {
        set(this.geometry, 'photoUv', new Float32Array(2 * this.head.uvSource.length), 2)
        set(this.geometry, 'facing', new Float32Array(this.head.uvSource.length), 1)
      }
      return
    }
    const points = face.inPhoto(shape)
    const before = this.patch && [this.patch.width, this.patch.height]
    const patch = cutPatch(photo, points, this.patch)
    this.patch = patch.canvas
    const toward = facing(normals(shape, this.head.triangles), face.pose.rotation)
    const uv = patch.uv(points)
    set(this.geometry, 'photoUv', this.opened(uv, 2), 2)
    set(this.geometry, 'facing', this.opened(toward, 1), 1)
    uniforms.fill.value = patch.mean(uv, toward)
    if (!this.texture || before?.[0] !== patch.canvas.width || before[1] !== patch.canvas.height) {
      this.texture?.dispose()
      this.texture = new CanvasTexture(patch.canvas)
      this.texture.colorSpace = SRGBColorSpace
      this.texture.minFilter = LinearFilter
      this.texture.generateMipmaps = false
      uniforms.photo.value = this.texture
    }
    this.texture.needsUpdate = true
  }

  /** @param pose rotation of the face in the photo, or null for looking straight ahead. */
  draw(width: number, height: number, pose: number[] | null): void {
    this.renderer.setSize(width, height, false)
    this.camera.aspect = width / Math.max(height, 1)
    this.camera.position.z = DISTANCE / Math.min(1, this.camera.aspect / 0.8)
    this.camera.updateProjectionMatrix()
    this.material.uniforms.ink.value = themeColor('--line')
    this.material.uniforms.ground.value = themeColor('--relief')
    const radians = Math.PI / 180
    const own = new Matrix4().makeRotationX(this.turn.pitch * radians)
    own.multiply(new Matrix4().makeRotationY(this.turn.yaw * radians))
    if (pose) {
      const [a, b, c, d, e, f, g, h, i] = pose
      own.multiply(new Matrix4().set(a, b, c, 0, d, e, f, 0, g, h, i, 0, 0, 0, 0, 1))
    }
    this.pivot.quaternion.setFromRotationMatrix(own)
    this.renderer.render(this.scene, this.camera)
  }

  /** The skin laid out by the model's texture coordinates, as a canvas; null without a photo. */
  bake(): HTMLCanvasElement | null {
    const { uniforms } = this.material
    if (!uniforms.usePhoto.value) return null
    const target = new WebGLRenderTarget(TEXTURE, TEXTURE)
    uniforms.bake.value = true
    this.renderer.setRenderTarget(target)
    this.renderer.setClearColor((uniforms.fill.value as Color).clone().convertLinearToSRGB(), 1)
    this.renderer.clear()
    this.renderer.render(this.scene, this.camera)
    const pixels = new Uint8Array(4 * TEXTURE * TEXTURE)
    this.renderer.readRenderTargetPixels(target, 0, 0, TEXTURE, TEXTURE, pixels)
    uniforms.bake.value = false
    this.renderer.setRenderTarget(null)
    this.renderer.setClearColor(0, 0)
    target.dispose()
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = TEXTURE
    const image = new ImageData(TEXTURE, TEXTURE)
    const row = 4 * TEXTURE
    for (let y = 0; y < TEXTURE; y++) {
      image.data.set(pixels.subarray((TEXTURE - 1 - y) * row, (TEXTURE - y) * row), y * row)
    }
    canvas.getContext('2d')!.putImageData(image, 0, 0)
    return canvas
  }

  dispose(): void {
    this.texture?.dispose()
    this.renderer.dispose()
  }

  private opened(values: Float32Array, size: number): Float32Array {
    const { uvSource } = this.head
    const out = new Float32Array(size * uvSource.length)
    for (let i = 0; i < uvSource.length; i++) {
      for (let c = 0; c < size; c++) out[size * i + c] = values[size * uvSource[i] + c]
    }
    return out
  }
}

function extent(points: Float32Array): [number[], number[]] {
  const low = [Infinity, Infinity, Infinity]
  const high = [-Infinity, -Infinity, -Infinity]
  for (let i = 0; i < points.length; i++) {
    low[i % 3] = Math.min(low[i % 3], points[i])
    high[i % 3] = Math.max(high[i % 3], points[i])
  }
  return [low, high]
}
