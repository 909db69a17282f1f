// Client of the live socket: what the open views watch, pictures with acknowledgements, states, counts, events.
import { useEffect, useRef, useState } from "../vendor/preact.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

let socket = null;
let wait_ms = FIRST_WAIT_MS;
let timer = 0;
let status = "idle"; // nothing is watched, connecting, open, or closed and tried again
const wanted = new Map(); // view -> list of {stream, width, variant, fps, pictures}
const receivers = new Set();
const statusListeners = new Set();

function setStatus(next) {
  status = next;
  statusListeners.forEach((listener) => listener(next));
}

// One entry per stream: the widest picture and the highest rate that any view asks for.
function merged() {
  const byStream = new Map();
  for (const list of wanted.values()) {
    for (const one of list) {
      const old = byStream.get(one.stream);
      byStream.set(
        one.stream,
        old
          ? { ...old, width: Math.max(old.width, one.width), fps: Math.max(old.fps, one.fps), pictures: old.pictures || one.pictures,
              variant: one.variant === "clear" ? "clear" : old.variant }
          : one,
      );
    }
  }
  return [...byStream.values()].slice(0, 64);
}

function sendWatch() {
  if (socket && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ watch: document.hidden ? [] : merged() }));
  }
}

function open() {
  clearTimeout(timer);
  if (socket || !receivers.size) return;
  setStatus("connecting");
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const made = new WebSocket(`${scheme}//${location.host}/api/live`);
  made.binaryType = "arraybuffer";
  socket = made;
  made.onopen = () => {
    wait_ms = FIRST_WAIT_MS;
    setStatus("open");
    sendWatch();
  };
  made.onmessage = ({ data }) => (typeof data === "string" ? text(JSON.parse(data)) : picture(data));
  made.onclose = () => {
    if (socket !== made) return;
    socket = null;
    setStatus("closed");
    if (receivers.size) {
      timer = setTimeout(open, wait_ms);
      wait_ms = Math.min(wait_ms * 2, LONGEST_WAIT_MS);
    }
  };
}

function close() {
  clearTimeout(timer);
  const old = socket;
  socket = null;
  // A socket that is closed before it is open leaves a warning in the console.
  if (old && old.readyState === WebSocket.CONNECTING) old.onopen = () => old.close();
  else if (old) old.close();
  setStatus("idle");
}

function text(message) {
  receivers.forEach((receiver) => receiver(message));
}

async function picture(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const acknowledge = () => socket && socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ ack: header.stream }));
  try {
    const image = await createImageBitmap(new Blob([new Uint8Array(buffer, 4 + length)], { type: "image/jpeg" }));
    receivers.forEach((receiver) => receiver({ type: "picture", ...header, image }));
  } finally {
    // Credits come back when the browser has had the time to draw; a hidden tab draws nothing and asks for nothing.
    if (document.hidden) acknowledge();
    else requestAnimationFrame(acknowledge);
  }
}

document.addEventListener("visibilitychange", () => {
  sendWatch();
  if (!document.hidden && !socket) open();
});

export function stopLive() {
  wanted.clear();
  receivers.clear();
  close();
}

// Watches while the component is mounted; `receive(message)` gets every message of the socket.
export function useLive(watch, receive) {
  const latest = useRef(receive);
  latest.current = receive;
  const key = JSON.stringify(watch);
  useEffect(() => {
    const me = {};
    const receiver = (message) => latest.current(message);
    wanted.set(me, watch);
    receivers.add(receiver);
    if (socket) sendWatch();
    else open();
    return () => {
      wanted.delete(me);
      receivers.delete(receiver);
      if (receivers.size) sendWatch();
      else close();
    };
  }, [key]);
}

export function useLiveStatus() {
  const [value, setValue] = useState(status);
  useEffect(() => {
    statusListeners.add(setValue);
    return () => statusListeners.delete(setValue);
  }, []);
  return value;
}
