// The picture of a stream with its overlay: live pictures on one canvas, states on another, places as SVG.
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { address, streamPath } from "./api.js";
import { useSession, useSize } from "./hooks.js";
import { useLive } from "./live.js";
import { drawState, identityAt, Trails } from "./overlay.js";
import { calm } from "./prefs.js";
import { t, word } from "./texts.js";

const WIDTHS = [320, 640, 960];
export const TOGGLES = { masks: true, trails: true, labels: true, contacts: false, places: true };
const KEPT_STATES = 12;
const STILL_S = 1;

// The served width that covers `width` CSS pixels.
export const servedWidth = (width) => WIDTHS.find((one) => one >= width * Math.min(window.devicePixelRatio || 1, 2)) || 960;

export const isCut = (stream) => ["lost", "failed"].includes(stream.state);
export const isDown = (stream) => Boolean(stream.outage) || isCut(stream);

// What a camera is like that is down: its picture, or else the state of the connection.
export const downWord = (stream) => (stream.outage && stream.state === "live" ? word("outage", stream.outage) : word("state", stream.state));

// A tenth, as the engine names cameras that lose frames (tracker/engine/losses.py).
export const LOST_SHARE = 0.1;
export const losesFrames = (stream) => stream.lost_share >= LOST_SHARE;

// Props: stream {id, size, kind, outage, state}, toggles, variant, fps, chosen, onPick(identity), onState(state), onMessage(message), children(size).
export function Stage({ stream, toggles, variant = "masked", fps = 5, chosen = null, onPick, onState, onMessage, children, label }) {
  const { user } = useSession();
  const [ref, size] = useSize();
  const picture = useRef(null);
  const overlay = useRef(null);
  const memory = useRef({ states: [], trails: new Trails(), state: null, shown: null });
  const [first, setFirst] = useState(false);
  const [aspect, setAspect] = useState(stream.size ? stream.size[0] / stream.size[1] : 16 / 9);
  const down = isDown(stream);
  const live = stream.kind === "camera";
  const watch = live && size.width ? [{ stream: stream.id, width: servedWidth(size.width), variant, fps: calm() ? Math.min(fps, 2) : fps, pictures: true }] : [];

  const redraw = () => overlay.current && drawState(overlay.current, size.width, size.height, memory.current.state, memory.current.trails, toggles, chosen);
  const show = (state) => {
    memory.current.state = state;
    memory.current.trails.add(state);
    redraw();
    if (onState) onState(state);
  };
  useLive(watch, (message) => {
    if (message.type === "picture" && message.stream === stream.id && message.variant === variant) {
      paint(picture.current, message.image, message.image.width, message.image.height);
      setAspect(message.image.width / message.image.height);
      setFirst(true);
      memory.current.shown = message.t_ms;
      // The state of this picture, or the newest before it.
      const found = memory.current.states.filter((state) => state.t_ms <= message.t_ms).pop();
      if (found) show(found);
    } else if (message.type === "state" && message.stream === stream.id) {
      memory.current.states.push(message);
      if (memory.current.states.length > KEPT_STATES) memory.current.states.shift();
      if (message.t_ms === memory.current.shown || memory.current.shown === null) show(message);
    }
    if (onMessage && (message.stream === stream.id || message.event?.stream === stream.id)) onMessage(message);
  });
  useEffect(redraw, [size.width, size.height, JSON.stringify(toggles), chosen]);

  // A still picture at once, until the first live one is there; of a recording a frame of its video, for who may see it.
  useEffect(() => {
    if (first || (!live && !(stream.has_video && user.see_people))) return undefined;
    let gone = false;
    const show = (image, width, height) => gone || (paint(picture.current, image, width, height), setAspect(width / height));
    if (live) {
      const image = new Image();
      image.onload = () => show(image, image.naturalWidth, image.naturalHeight);
      image.src = address(streamPath(stream.id, "/picture"), { variant, width: servedWidth(size.width || 640) });
    } else {
      const video = document.createElement("video");
      video.muted = true;
      video.preload = "auto";
      video.onloadedmetadata = () => (video.currentTime = Math.min(STILL_S, video.duration / 2));
      video.onseeked = () => show(video, video.videoWidth, video.videoHeight);
      video.src = address(streamPath(stream.id, "/video"));
    }
    return () => (gone = true);
  }, [stream.id, variant, first]);

  const pick = (event) => {
    if (!onPick) return;
    const box = ref.current.getBoundingClientRect();
    onPick(identityAt(memory.current.state, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
  };
  useEffect(() => ref.current.style.setProperty("--aspect", String(aspect)), [aspect]);
  return html`<div ref=${ref} class=${`stage ${down ? "down" : ""} ${onPick ? "pickable" : ""}`} onClick=${pick}>
    <canvas ref=${picture} class="picture" width="16" height="9" role="img" aria-label=${label || t("stage.label", { name: stream.id })}></canvas>
    <canvas ref=${overlay} class="overlay" aria-hidden="true"></canvas>
    <div class="stage-over">${children && children(size)}</div>
    ${down && html`<div class="outage"><strong>${word("outage", stream.outage || stream.state)}</strong>${stream.problem && html`<span>${stream.problem}</span>`}</div>`}
  </div>`;
}

function paint(canvas, image, width, height) {
  if (!canvas) return;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  canvas.getContext("2d").drawImage(image, 0, 0);
}
