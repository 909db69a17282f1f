"""Script of the page on which a person counts: presses by interval, undo, keys, storage, the CSV file."""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = r"""
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const at = id => document.getElementById(id);
const KEYS = '123456789abcdefghijklmnopqrstuvwxyz';
let kept = {done: {}, presses: {}}, now = 0;
try { kept = JSON.parse(localStorage.getItem(data.key)) || kept; } catch (error) { /* private windows keep nothing */ }
const presses = number => kept.presses[number] = kept.presses[number] || [];
const total = (number, button) => presses(number).filter(one => one === button).length;
function keep() { try { localStorage.setItem(data.key, JSON.stringify(kept)); } catch (error) { /* see above */ } }
function make(name, text, parent) {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
}
const buttons = [], groups = {}, tabs = [];
data.asked.forEach(([line, direction, name], index) => {
  const key = line + '\n' + direction;
  if (!groups[key]) {
    const field = make('fieldset', '', at('buttons'));
    make('legend', line + ': ' + direction, field);
    groups[key] = make('div', '', field);
    groups[key].className = 'keys';
  }
  const button = make('button', '', groups[key]);
  make('span', name, button);
  const shown = make('b', '0', button);
  if (index < KEYS.length) make('kbd', KEYS[index], button);
  button.addEventListener('click', () => press(index));
  buttons.push(shown);
});
data.spans.forEach(([number], index) => {
  const tab = make('button', number, at('nav'));
  tab.addEventListener('click', () => show(index));
  tabs.push(tab);
});
function press(button) {
  const number = data.spans[now][0];
  presses(number).push(button);
  kept.done[number] = false;
  refresh();
}
function refresh() {
  keep();
  const number = data.spans[now][0];
  buttons.forEach((shown, index) => { shown.textContent = total(number, index); });
  tabs.forEach((tab, index) => {
    tab.classList.toggle('full', Boolean(kept.done[data.spans[index][0]]));
    tab.setAttribute('aria-current', index === now);
    const done = kept.done[data.spans[index][0]] ? ', done' : '';
    tab.setAttribute('aria-label', 'Interval ' + data.spans[index][0] + done);
  });
  const done = data.spans.filter(([one]) => kept.done[one]).length;
  at('state').textContent = done + ' of ' + data.spans.length + ' intervals done';
}
function show(index) {
  now = index;
  const [number, time, stratum, clip] = data.spans[index];
  at('title').textContent = 'Interval ' + number;
  at('note').textContent = time + ' (' + stratum + ')';
  at('video').hidden = !clip;
  if (clip) at('video').src = clip;
  refresh();
}
function sheet() {
  const quoted = value => /[",\n\r]/.test(value) ? '"' + String(value).replace(/"/g, '""') + '"' : String(value);
  const lines = [data.columns.join(',')];
  data.rows.forEach((row, index) => {
    const number = data.spans[Math.floor(index / data.asked.length)][0];
    const count = kept.done[number] ? total(number, index % data.asked.length) : '';
    lines.push([...row, count].map(quoted).join(','));
  });
  return lines.join('\n') + '\n';
}
at('undo').addEventListener('click', () => { presses(data.spans[now][0]).pop(); refresh(); });
at('done').addEventListener('click', () => {
  kept.done[data.spans[now][0]] = true;
  if (now + 1 < data.spans.length) show(now + 1); else refresh();
});
at('save').addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([sheet()], {type: 'text/csv'}));
  link.download = data.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
[['half', 0.5], ['normal', 1], ['twice', 2]].forEach(([id, rate]) => {
  at(id).addEventListener('click', () => { at('video').playbackRate = at('video').defaultPlaybackRate = rate; });
});
at('back').addEventListener('click', () => { at('video').currentTime = Math.max(0, at('video').currentTime - 5); });
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const button = KEYS.indexOf(event.key);
  if (event.key === 'Backspace') { at('undo').click(); event.preventDefault(); }
  else if (event.key.length === 1 && button >= 0 && button < buttons.length) press(button);
});
show(0);
""".strip()
