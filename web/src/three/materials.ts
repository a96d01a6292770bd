/** How surfaces are drawn: a relief with contour lines, as on a map, and the photo laid over it. */

import { Color, DoubleSide, ShaderMaterial, type Texture } from 'three'

/** Millimetres between contour lines; every fifth is heavier. */
const STEP = 5

const VERTEX = /* glsl */ `
attribute vec3 model;
attribute vec2 photoUv;
attribute float facing;
varying vec3 vModel;
varying vec3 vNormal;
varying vec2 vPhoto;
varying float vFacing;
uniform bool bake;
void main() {
  vModel = model;
  vNormal = normalize(normalMatrix * normal);
  vPhoto = photoUv;
  vFacing = facing;
  gl_Position = bake ? vec4(uv * 2.0 - 1.0, 0.0, 1.0) : projectionMatrix * modelViewMatrix * vec4(position, 1.0);
}`

const CONTOURS = /* glsl */ `
// How much of a line is at height h: thin lines of one width on the screen, none where they crowd.
float contour(float h, float width) {
  float slope = fwidth(h);
  float line = 1.0 - smoothstep(width - 0.6, width + 0.6, abs(fract(h + 0.5) - 0.5) / max(slope, 1e-6));
  return line * (1.0 - smoothstep(0.28, 0.55, slope));
}`

const RELIEF = /* glsl */ `
varying vec3 vModel;
uniform vec3 ink;
uniform float strength;
${CONTOURS}
void main() {
  float h = vModel.z / ${STEP.toFixed(1)};
  float line = max(contour(h, 0.55) * 0.75, contour(h / 5.0, 1.1));
  gl_FragColor = vec4(ink, (0.05 + line * 0.9) * strength);
  #include <colorspace_fragment>
}`

const HEAD = /* glsl */ `
varying vec3 vModel;
varying vec3 vNormal;
varying vec2 vPhoto;
varying float vFacing;
uniform sampler2D photo;
uniform bool usePhoto;
uniform bool bake;
uniform vec3 fill;
uniform vec3 ink;
uniform vec3 ground;
${CONTOURS}
void main() {
  float light = 0.55 + 0.45 * clamp(dot(normalize(vNormal), normalize(vec3(0.3, 0.5, 0.8))), 0.0, 1.0);
  if (bake) light = 1.0;
  vec3 color = ground * light;
  float h = vModel.z / ${STEP.toFixed(1)};
  if (usePhoto) {
    vec2 inside = step(vec2(0.0), vPhoto) * step(vPhoto, vec2(1.0));
    float seen = smoothstep(0.12, 0.45, vFacing) * inside.x * inside.y;
    color = mix(fill * light, texture2D(photo, vPhoto).rgb, seen);
    if (!bake) color = mix(color, ink, contour(h / 2.0, 0.5) * 0.55 * (1.0 - seen));
  } else {
    color = mix(color, ink, max(contour(h, 0.5) * 0.6, contour(h / 5.0, 1.0) * 0.95));
  }
  gl_FragColor = vec4(color, 1.0);
  // A render target is left linear; the file that is made of it is not.
  if (bake) gl_FragColor = sRGBTransferOETF(gl_FragColor);
  #include <colorspace_fragment>
}`

export function reliefMaterial(ink: Color): ShaderMaterial {
  return new ShaderMaterial({
    vertexShader: VERTEX,
    fragmentShader: RELIEF,
    uniforms: { ink: { value: ink }, strength: { value: 1 }, bake: { value: false } },
    transparent: true,
    depthWrite: false,
    side: DoubleSide,
  })
}

export function headMaterial(): ShaderMaterial {
  return new ShaderMaterial({
    vertexShader: VERTEX,
    fragmentShader: HEAD,
    uniforms: {
      photo: { value: null as Texture | null },
      usePhoto: { value: false },
      bake: { value: false },
      fill: { value: new Color(0.6, 0.5, 0.45) },
      ink: { value: new Color() },
      ground: { value: new Color() },
    },
    side: DoubleSide,
  })
}

/** Colours of the style sheet, so that drawings follow the theme. */
export function themeColor(name: string): Color {
  return new Color(getComputedStyle(document.documentElement).getPropertyValue(name).trim() || '#888')
}
