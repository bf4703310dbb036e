import QRCode from 'qrcode';
import type { Address } from './api';
import { el } from './dom';

// show lists what to paste where, with a QR code for a phone.
export function show(box: HTMLElement, all: Address[]): void {
  const byStream = group(all);
  box.replaceChildren(
    ...[...byStream].map(([stream, list]) =>
      el(
        'details',
        { open: byStream.size === 1 },
        el('summary', {}, `Addresses of ${stream}`),
        ...list.map((a) => {
          const copy = el('button', { type: 'button' }, 'Copy');
          copy.onclick = () => void navigator.clipboard.writeText(a.url).then(() => (copy.textContent = 'Copied'));
          const code = el('button', { type: 'button', title: 'QR code' }, 'QR');
          const line = el('div', { className: 'address' }, el('b', {}, a.label), el('code', {}, a.url), copy, code, el('small', {}, a.note ?? ''));
          code.onclick = async () => {
            const old = line.querySelector('img');
            if (old) return old.remove();
            line.append(el('img', { src: await QRCode.toDataURL(a.url, { margin: 2, width: 220 }), alt: `QR code of ${a.url}` }));
          };
          return line;
        }),
      ),
    ),
  );
}

function group(all: Address[]): Map<string, Address[]> {
  const m = new Map<string, Address[]>();
  for (const a of all) m.set(a.stream, [...(m.get(a.stream) ?? []), a]);
  return m;
}
