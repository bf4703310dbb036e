import './page.css';
import * as api from './api';
import { Card } from './card';
import { show } from './addresses';
import { demo } from './demo';
import { rate } from './dom';

const box = document.getElementById('streams') as HTMLElement;
const summary = document.getElementById('summary') as HTMLElement;
const empty = document.getElementById('empty') as HTMLElement;
const places = document.getElementById('addresses') as HTMLElement;
const cards = new Map<string, Card>();
let known = '';

async function refresh(): Promise<void> {
  const [streams, outputs, addresses] = await Promise.all([api.streams(), api.outputs(), api.addresses()]);
  for (const s of streams) {
    let card = cards.get(s.name);
    if (!card) {
      card = new Card(s.name);
      cards.set(s.name, card);
      box.append(card.box);
    }
    card.update(s, outputs.filter((o) => o.stream === s.name));
  }
  for (const [name, card] of cards) {
    if (!streams.some((s) => s.name === name)) {
      card.destroy();
      cards.delete(name);
    }
  }
  const live = streams.filter((s) => s.state === 'live');
  const sum = live.reduce((n, s) => n + s.bitrate_bps, 0);
  summary.textContent = `${live.length} live, ${streams.length - live.length} held · ${rate(sum)} in`;
  summary.dataset.state = 'ok';
  empty.hidden = streams.length > 0;
  const text = JSON.stringify(addresses);
  if (text !== known) {
    known = text;
    show(places, addresses);
  }
  places.hidden = addresses.length === 0;
}

async function run(): Promise<never> {
  for (;;) {
    try {
      await refresh();
    } catch (e) {
      summary.textContent = `the relay does not answer (${e instanceof Error ? e.message : e})`;
      summary.dataset.state = 'bad';
    }
    await new Promise((next) => setTimeout(next, document.hidden ? 5000 : 1000));
  }
}

void (document.body.hasAttribute('data-demo') ? demo() : run());
