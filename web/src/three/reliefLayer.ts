/** Contour lines of all faces over the photo. */

import {
  BufferAttribute,
  BufferGeometry,
  Color,
  DoubleSide,
  Mesh,
  MeshBasicMaterial,
  OrthographicCamera,
  Scene,
  WebGLRenderer,
} from 'three'
import type { Face } from '../core/face'
import type { Head } from '../core/head'
import { reliefMaterial, themeColor } from './materials'

const DEEP = 1e5

export class ReliefLayer {
  private readonly renderer: WebGLRenderer
  private readonly scene = new Scene()
  private readonly camera = new OrthographicCamera(0, 1, 0, 1, -DEEP, DEEP)
  private readonly ink = reliefMaterial(new Color())
  /** Drawn first and unseen, so that lines of the far side stay hidden. */
  private readonly solid = new MeshBasicMaterial({ colorWrite: false, side: DoubleSide })
  private readonly meshes: { geometry: BufferGeometry; all: Mesh[] }[] = []

  constructor(
    canvas: HTMLCanvasElement,
    private readonly head: Head,
  ) {
    // The lines are smooth by themselves.
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: false })
    this.renderer.setClearColor(0, 0)
  }

  /** @param models vertices of each face in the model frame; width and height are the photo's. */
  draw(faces: Face[], models: Float32Array[], size: { width: number; height: number }, pixels: { width: number; height: number }): void {
    this.renderer.setSize(pixels.width, pixels.height, false)
    Object.assign(this.camera, { left: -0.5, right: size.width - 0.5, top: -0.5, bottom: size.height - 0.5 })
    this.camera.updateProjectionMatrix()
    this.ink.uniforms.ink.value = themeColor('--line')
    while (this.meshes.length < faces.length) this.meshes.push(this.makeMesh(this.meshes.length))
    this.meshes.forEach(({ geometry, all }, i) => {
      all.forEach((mesh) => (mesh.visible = i < faces.length))
      if (i >= faces.length) return
      set(geometry, 'position', faces[i].inPhoto(models[i]))
      set(geometry, 'model', models[i])
    })
    this.renderer.render(this.scene, this.camera)
  }

  dispose(): void {
    this.renderer.dispose()
  }

  private makeMesh(number: number): { geometry: BufferGeometry; all: Mesh[] } {
    const geometry = new BufferGeometry()
    geometry.setIndex(new BufferAttribute(this.head.triangles, 1))
    const all = [new Mesh(geometry, this.solid), new Mesh(geometry, this.ink)]
    all.forEach((mesh, i) => {
      mesh.renderOrder = 2 * number + i
      mesh.frustumCulled = false
      this.scene.add(mesh)
    })
    return { geometry, all }
  }
}

/** Puts values into an attribute that is made once. */
export function set(geometry: BufferGeometry, name: string, values: Float32Array, itemSize = 3): void {
  const old = geometry.getAttribute(name) as BufferAttribute | undefined
  if (old && old.array.length === values.length) {
    ;(old.array as Float32Array).set(values)
    old.needsUpdate = true
  } else {
    geometry.setAttribute(name, new BufferAttribute(values, itemSize))
  }
}
