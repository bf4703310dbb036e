import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { el } from './dom';

// keep is how many seconds a chart shows.
const keep = 300;

const inks = ['--ink-1', '--ink-2', '--ink-3', '--ink-4', '--ink-5', '--ink-6'];

const dark = matchMedia('(prefers-color-scheme: dark)');

// Chart draws a few lines over the last minutes; a sample is one value a line, null: not known.
export class Chart {
  readonly box: HTMLElement;
  private readonly data: (number | null)[][];
  private plot: uPlot;

  constructor(
    title: string,
    private readonly lines: string[],
    unit: string,
  ) {
    this.data = [[], ...lines.map(() => [])];
    this.box = el('figure', { className: 'chart' }, el('figcaption', {}, `${title}, ${unit}`));
    this.plot = this.draw();
    new ResizeObserver(() => this.plot.setSize({ width: this.width(), height: 130 })).observe(this.box);
    dark.addEventListener('change', this.repaint);
  }

  private width(): number {
    return Math.max(this.box.clientWidth, 120);
  }

  // repaint takes the inks of the scheme there is now.
  private readonly repaint = (): void => {
    this.plot.destroy();
    this.plot = this.draw();
  };

  private draw(): uPlot {
    const css = getComputedStyle(document.documentElement);
    const ink = (name: string) => css.getPropertyValue(name).trim();
    const axis = { stroke: ink('--faint'), grid: { stroke: ink('--rule'), width: 1 }, ticks: { show: false }, font: '11px system-ui', size: 38 };
    return new uPlot(
      {
        width: this.width(),
        height: 130,
        cursor: { drag: { x: false, y: false } },
        legend: { live: false },
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [{ ...axis, size: 24, space: 60, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour12: false })) }, axis],
        series: [{}, ...this.lines.map((label, i) => ({ label, stroke: ink(inks[i % inks.length]), width: 1.5, points: { show: false } }))],
      },
      this.data as uPlot.AlignedData,
      this.box,
    );
  }

  add(at: number, ...values: (number | null)[]): void {
    [at, ...values].forEach((v, i) => this.data[i].push(v));
    while (this.data[0].length > 0 && (this.data[0][0] as number) < at - keep) this.data.forEach((d) => d.shift());
    this.plot.setData(this.data as uPlot.AlignedData);
  }

  destroy(): void {
    dark.removeEventListener('change', this.repaint);
    this.plot.destroy();
  }
}
