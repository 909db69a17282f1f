// Icons as SVG paths on a 24 px grid, drawn with the colour of the text.
import { html } from "../vendor/preact.js";

const PATHS = {
  wall: "M3 4h8v7H3zM13 4h8v7h-8zM3 13h8v7H3zM13 13h8v7h-8z",
  counts: "M4 20V10M10 20V4M16 20v-8M22 20H2",
  dwell: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 3",
  flows: "M4 6h6c6 0 4 12 10 12M17 15l3 3-3 3M4 18h4c2 0 3-1 4-3M14 8c1-1 2-2 4-2h2",
  audit: "M4 5h16M4 11h9M4 17h6M14 17l2.5 2.5L21 14",
  recordings: "M3 5h18v14H3zM10 9l5 3-5 3z",
  health: "M3 12h4l2-6 4 12 2-6h6",
  users: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-7 7-7s7 3 7 7M17 4a4 4 0 0 1 0 7M19 14c2 1 3 4 3 7",
  events: "M8 6h13M8 12h13M8 18h13M3.5 6h.01M3.5 12h.01M3.5 18h.01",
  menu: "M3 6h18M3 12h18M3 18h18",
  close: "M5 5l14 14M19 5L5 19",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M19 5l-1.5 1.5M6.5 17.5L5 19",
  moon: "M20 14A8 8 0 0 1 10 4a8 8 0 1 0 10 10z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  edit: "M4 20h4L20 8l-4-4L4 16zM13 7l4 4",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 0 1 0 12",
  redo: "M15 7l5 5-5 5M20 12H10a6 6 0 0 0 0 12",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6",
  line: "M4 20L20 4M4 20h.01M20 4h.01M9 9l3 3M9 9h3M9 9v3",
  zone: "M5 5l13-1 3 10-9 7-9-6z",
  occluder: "M5 4h14v16H5zM5 10l6-6M5 16L17 4M8 20L19 9M14 20l5-5",
  move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  swap: "M7 4v14M4 15l3 3 3-3M17 20V6M14 9l3-3 3 3",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  save: "M5 4h11l3 3v13H5zM8 4v5h7V4M8 20v-6h8v6",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  upload: "M12 20V9M7 13l5-5 5 5M4 4h16",
  history: "M4 12a8 8 0 1 0 3-6M4 4v4h4M12 8v4l3 2",
  warn: "M12 3l10 18H2zM12 10v5M12 18h.01",
  check: "M4 13l5 5L20 6",
  eye: "M2 12c3-5 7-7 10-7s7 2 10 7c-3 5-7 7-10 7s-7-2-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  key: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12l9-9M17 6l3 3M14 9l2 2",
  link: "M10 14a4 4 0 0 0 6 0l4-4a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-4 4a4 4 0 0 0 6 6l1-1",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  out: "M14 4h6v16h-6M3 12h11M10 8l4 4-4 4",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  play: "M7 4l13 8-13 8z",
  person: "M12 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 4-7 8-7s8 3 8 7",
};

export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
  <path d=${PATHS[name] || PATHS.events} />
</svg>`;
