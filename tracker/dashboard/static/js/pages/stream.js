// One stream: the live camera, or a recording with its video; both with overlay, counts, events and identities.
import { html } from "../../vendor/preact.js";
import { get, streamPath } from "../api.js";
import { useLoad, useTitle } from "../hooks.js";
import { Loaded } from "../parts.js";
import { CameraView } from "./camera.js";
import { RecordingView } from "./recording.js";

export default function StreamPage({ id }) {
  const stream = useLoad((signal) => get(streamPath(id), {}, signal), [id], { every_s: 10 });
  useTitle(id);
  return html`<${Loaded} of=${stream} page>${(data) => (data.kind === "recording" ? html`<${RecordingView} stream=${data} />` : html`<${CameraView} stream=${data} />`)}<//>`;
}
