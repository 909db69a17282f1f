// Drawing of states over a picture: silhouettes, trails, contacts and labels on a canvas, in the colours of the video.
import { identityColour, inkFor } from "./colour.js";
import { unit } from "./prefs.js";

export const TRAIL_S = 4;
const FORGET_S = 1.5;
const NARROW_PX = 500; // of a picture: labels are numbers only

// Trails of contacts by identity: points not older than TRAIL_S.
export class Trails {
  constructor() {
    this.points = new Map();
  }

  add(state) {
    for (const track of state.tracks) {
      if (!track.contact) continue;
      const list = this.points.get(track.id) || [];
      const last = list[list.length - 1];
      if (!last || last[0] < state.t_ms) list.push([state.t_ms, track.contact[0], track.contact[1]]);
      while (list.length && list[0][0] < state.t_ms - TRAIL_S * 1000) list.shift();
      this.points.set(track.id, list);
    }
    for (const [id, list] of this.points) {
      if (!list.length || list[list.length - 1][0] < state.t_ms - FORGET_S * 1000) this.points.delete(id);
    }
  }
}

function trace(context, outline, width, height) {
  for (const flat of outline) {
    if (flat.length < 6) continue;
    context.moveTo(flat[0] * width, flat[1] * height);
    for (let at = 2; at + 1 < flat.length; at += 2) context.lineTo(flat[at] * width, flat[at + 1] * height);
    context.closePath();
  }
}

function drawMask(context, track, width, height, chosen) {
  const colour = identityColour(track.id);
  context.beginPath();
  if (track.outline && track.outline.length) trace(context, track.outline, width, height);
  else {
    const [left, top, right, bottom] = track.box;
    context.rect(left * width, top * height, (right - left) * width, (bottom - top) * height);
  }
  context.globalAlpha = chosen ? 0.6 : track.seen === false ? 0.12 : 0.36;
  context.fillStyle = colour;
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.lineWidth = (chosen ? 3 : 1.5) * unit();
  context.strokeStyle = chosen ? "#ffffff" : colour;
  context.setLineDash(track.seen === false ? [4, 4] : []);
  context.stroke();
  context.setLineDash([]);
}

function drawTrail(context, points, colour, width, height, now_ms) {
  context.strokeStyle = colour;
  context.lineWidth = 2.5 * unit();
  for (let at = 1; at < points.length; at += 1) {
    context.globalAlpha = Math.max(0.08, 1 - (now_ms - points[at][0]) / (TRAIL_S * 1000)) * 0.9;
    context.beginPath();
    context.moveTo(points[at - 1][1] * width, points[at - 1][2] * height);
    context.lineTo(points[at][1] * width, points[at][2] * height);
    context.stroke();
  }
  context.globalAlpha = 1;
}

// A ring where the contact is seen, a dot inside where it is hidden, a dash where it is predicted.
function drawContact(context, track, width, height) {
  const [x, y, kind] = track.contact;
  context.beginPath();
  context.ellipse(x * width, y * height, 5 * unit(), 3.2 * unit(), 0, 0, 2 * Math.PI);
  context.lineWidth = 3;
  context.strokeStyle = "#000000";
  context.stroke();
  context.lineWidth = 1.6;
  context.strokeStyle = "#ffffff";
  context.setLineDash(kind === "predicted" ? [2, 2] : []);
  context.stroke();
  context.setLineDash([]);
  if (kind === "seen") {
    context.fillStyle = identityColour(track.id);
    context.fill();
  }
}

function drawLabel(context, track, text, width, height, taken) {
  const colour = identityColour(track.id);
  const k = unit();
  const wide = context.measureText(text).width + 10 * k;
  const tall = 18 * k;
  let x = Math.min(Math.max(track.box[0] * width, 0), Math.max(0, width - wide));
  let y = Math.max(track.box[1] * height - tall - 2, 0);
  // Labels never lie on each other: the later one moves up, at the top down.
  for (let turn = 0; turn < 6; turn += 1) {
    const hit = taken.find((one) => x < one.x + one.wide && x + wide > one.x && y < one.y + tall && y + tall > one.y);
    if (!hit) break;
    y = hit.y - tall - 1 >= 0 ? hit.y - tall - 1 : hit.y + tall + 1;
  }
  taken.push({ x, y, wide });
  context.fillStyle = colour;
  context.fillRect(x, y, wide, tall);
  context.fillStyle = inkFor(colour);
  context.fillText(text, x + 5 * k, y + tall / 2 + 0.5);
}

// Draws one state on a canvas that covers the picture, `width` x `height` CSS pixels.
export function drawState(canvas, width, height, state, trails, toggles, chosen) {
  const ratio = window.devicePixelRatio || 1;
  const wide = Math.round(width * ratio);
  const tall = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== tall) {
    canvas.width = wide;
    canvas.height = tall;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!state) return;
  context.lineJoin = "round";
  context.font = `600 ${12 * unit()}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  if (toggles.trails) {
    for (const [id, points] of trails.points) drawTrail(context, points, identityColour(id), width, height, state.t_ms);
  }
  const tracks = [...state.tracks].sort((a, b) => a.box[3] - b.box[3]);
  for (const track of tracks) if (toggles.masks || track.id === chosen) drawMask(context, track, width, height, track.id === chosen);
  if (toggles.contacts) for (const track of tracks) if (track.contact) drawContact(context, track, width, height);
  if (toggles.labels) {
    const taken = [];
    for (const track of tracks) drawLabel(context, track, width < NARROW_PX ? `${track.id}` : `${track.id} ${track.class}`, width, height, taken);
  }
}

const insideRing = (flat, x, y) => {
  let inside = false;
  for (let at = 0, last = flat.length - 2; at + 1 < flat.length; last = at, at += 2) {
    const [ax, ay, bx, by] = [flat[at], flat[at + 1], flat[last], flat[last + 1]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
};

// The identity at a point in shares of the picture: a silhouette first, then the smallest box; null for none.
export function identityAt(state, x, y) {
  if (!state) return null;
  const hit = state.tracks.filter((track) => (track.outline || []).some((flat) => insideRing(flat, x, y)));
  if (hit.length) return hit[hit.length - 1].id;
  const area = (track) => (track.box[2] - track.box[0]) * (track.box[3] - track.box[1]);
  const boxes = state.tracks.filter(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  return boxes.length ? boxes.sort((a, b) => area(a) - area(b))[0].id : null;
}
