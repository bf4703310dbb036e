import QRCode from 'qrcode';
import type { Address } from './api';
import { el } from './dom';

// show lists what to paste where, with a QR code of each URL for a phone.
export function show(box: HTMLElement, all: Address[]): void {
  const byStream = group(all);
  box.replaceChildren(
    ...[...byStream].map(([stream, list]) =>
      el(
        'details',
        { open: byStream.size === 1 },
        el('summary', {}, `Addresses of ${stream}`),
        ...uses.flatMap(([use, title]) => {
          const of = list.filter((a) => a.use === use);
          return of.length ? [el('p', { className: 'use' }, title), ...of.map(line)] : [];
        }),
      ),
    ),
  );
}

const uses = [
  ['publish', 'Publish with'],
  ['watch', 'Watch at'],
];

function line(a: Address): HTMLElement {
  const box = el('div', { className: 'address' }, el('b', {}, a.label));
  for (const [name, text] of fields(a.url)) {
    const copy = el('button', { type: 'button' }, 'Copy');
    copy.onclick = () => void put(text).then(() => (copy.textContent = 'Copied'));
    const buttons = el('span', { className: 'buttons' }, copy);
    const url = text.match(/[a-z]+:\/\/[^\s']+/)?.[0];
    if (url) buttons.append(qr(box, url));
    box.append(el('code', {}, name ? el('i', {}, `${name} `) : '', text), buttons);
  }
  if (a.note) box.append(el('small', {}, a.note));
  return box;
}

// fields are what is pasted into one place each: OBS has two.
function fields(text: string): [string, string][] {
  const obs = text.match(/^Server (\S+)(?:\s+Stream Key (\S+))?$/);
  if (!obs) return [['', text]];
  return obs[2] ? [['Server', obs[1]], ['Stream Key', obs[2]]] : [['Server', obs[1]]];
}

function qr(box: HTMLElement, url: string): HTMLElement {
  const button = el('button', { type: 'button', title: `QR code of ${url}` }, 'QR');
  button.onclick = async () => {
    const old = box.querySelector('img');
    if (old) return old.remove();
    box.append(el('img', { src: await QRCode.toDataURL(url, { margin: 2, width: 220 }), alt: `QR code of ${url}` }));
  };
  return button;
}

// put copies; a browser has no clipboard for pages that came over http from another machine, and the old way there.
async function put(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = el('textarea', { value: text }) as HTMLTextAreaElement;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

function group(all: Address[]): Map<string, Address[]> {
  const out = new Map<string, Address[]>();
  for (const a of all) out.set(a.stream, [...(out.get(a.stream) ?? []), a]);
  return out;
}
