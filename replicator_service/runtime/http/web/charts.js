// Line charts of the last minutes, drawn as SVG in the pixels that are there.

const SVG = "http://www.w3.org/2000/svg";
const WINDOWS = [120, 180, 300, 600, 900];
const ROOM = { top: 10, right: 14, bottom: 18, left: 0 };
const CHARACTER = 6.6;
/** A spike is so many times as high as what nearly all samples stay below. */
const SPIKE = 4;

/** A chart in `figure`: a caption with the present values, and the lines below it. */
export class Chart {
  /**
   * `series` are {key, label, format, kind}; kind is "first" (with an area) or "second".
   * The scale reaches at least to `least`, so that a quiet line looks quiet.
   */
  constructor(figure, { title, series, least, axis, height = 120 }) {
    this.series = series;
    this.title = title;
    this.least = least;
    this.axis = axis;
    this.height = height;
    this.data = null;
    this.pointed = null;
    this.caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = title;
    this.when = document.createElement("span");
    this.when.className = "when";
    this.caption.append(name, this.when);
    this.values = series.map((each) => {
      const item = document.createElement("span");
      item.className = `value ${each.kind}`;
      this.caption.append(item);
      return item;
    });
    this.svg = node("svg", { role: "img" });
    figure.append(this.caption, this.svg);
    new ResizeObserver(() => this.draw()).observe(figure);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  /** `data` is {at, series: {key: values}}, oldest first; `at` in seconds. */
  show(data) {
    this.data = data;
    this.draw();
  }

  point(event) {
    this.pointed = event ? event.clientX - this.svg.getBoundingClientRect().left : null;
    this.draw();
  }

  draw() {
    const width = Math.floor(this.svg.parentElement.clientWidth);
    if (!width) return;
    const at = this.data?.at ?? [];
    const now = at.length ? at[at.length - 1] : 0;
    const age = at.length ? now - at[0] : 0;
    const span = WINDOWS.find((each) => age <= each) ?? WINDOWS[WINDOWS.length - 1];
    const from = at.findIndex((each) => now - each <= span);
    const shown = (key) => this.data.series[key].slice(from);
    const times = from < 0 ? [] : at.slice(from);
    const lines = this.series.map((each) => (times.length ? shown(each.key) : []));
    // One second of a spike must not flatten all others: the line is cut at the top then, and the spike told.
    const highest = Math.max(...lines.map(largest), 0);
    const usual = Math.max(this.least, ...lines.map(usually));
    const isCut = highest > SPIKE * usual;
    const top = ceiling(isCut ? 1.5 * usual : Math.max(this.least, highest));
    const labels = [0, top / 2, top].map((value) => [value, this.axis(value)]);
    const room = ROOM.right + CHARACTER * Math.max(...labels.map(([, label]) => label.length));
    const plot = { left: ROOM.left, right: width - room, top: ROOM.top, bottom: this.height - ROOM.bottom };
    const x = (time) => plot.right - ((now - time) / span) * (plot.right - plot.left);
    const y = (value) => plot.bottom - (Math.min(value, top) / top) * (plot.bottom - plot.top);

    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.setAttribute("height", String(this.height));
    const parts = [];
    for (const [value, label] of labels) {
      parts.push(node("line", { class: value ? "grid" : "base", x1: plot.left, x2: plot.right, y1: y(value), y2: y(value) }));
      parts.push(text(label, { class: "tick", x: plot.right + 6, y: y(value) + 3.5 }));
    }
    for (const minutes of marks(span, plot.right)) {
      const place = x(now - minutes * 60);
      const anchor = minutes === 0 ? "end" : minutes * 60 === span ? "start" : "middle";
      const label = minutes === 0 ? "now" : `−${minutes} min`;
      parts.push(text(label, { class: "tick", x: place, y: this.height - 4, "text-anchor": anchor }));
    }
    lines.forEach((values, index) => {
      const kind = this.series[index].kind;
      if (kind === "first") parts.push(node("path", { class: "area", d: area(times, values, x, y, plot.bottom) }));
    });
    [...lines].reverse().forEach((values, index) => {
      const kind = this.series[lines.length - 1 - index].kind;
      parts.push(node("path", { class: `line ${kind}`, d: line(times, values, x, y) }));
    });

    if (isCut) {
      const cut = lines.flatMap((values) => values.map((value, index) => ({ value, index }))).filter(({ value }) => value > top);
      const peak = cut.reduce((found, each) => (each.value > found.value ? each : found));
      for (const { index } of cut) parts.push(node("path", { class: "spike", d: spike(x(times[index]), plot.top) }));
      const place = x(times[peak.index]);
      const anchor = place < 60 ? "start" : place > plot.right - 60 ? "end" : "middle";
      parts.push(text(`↑ ${this.axis(peak.value)}`, { class: "tick spike", x: place, y: plot.top + 14, "text-anchor": anchor }));
    }

    const chosen = this.pointed === null || !times.length ? times.length - 1 : nearest(times, x, this.pointed);
    if (this.pointed !== null && chosen >= 0) {
      parts.push(node("line", { class: "cursor", x1: x(times[chosen]), x2: x(times[chosen]), y1: plot.top, y2: plot.bottom }));
      this.when.textContent = `${Math.round(now - times[chosen])} s ago`;
    } else {
      this.when.textContent = "";
    }
    this.values.forEach((item, index) => {
      const each = this.series[index];
      const value = chosen >= 0 ? lines[index][chosen] : null;
      item.textContent = each.format(value ?? null);
    });
    this.svg.setAttribute("aria-label", this.description(lines, span));
    this.svg.replaceChildren(...parts);
  }

  description(lines, span) {
    const told = this.series.map((each, index) => {
      const known = lines[index].filter((value) => value !== null);
      if (!known.length) return `${each.label} unknown`;
      return `now ${each.format(known[known.length - 1])}, at most ${each.format(largest(known))}`;
    });
    return `${this.title} over the last ${span / 60} minutes: ${told.join("; ")}`;
  }
}

function marks(span, width) {
  const minutes = span / 60;
  if (width < 320) return [minutes, 0];
  const step = minutes <= 5 ? 1 : minutes <= 10 ? 2 : 5;
  return Array.from({ length: minutes / step + 1 }, (_, index) => minutes - index * step);
}

function largest(values) {
  let found = 0;
  for (const value of values) if (value > found) found = value;
  return found;
}

/** What all but a fiftieth of the samples stay below. */
function usually(values) {
  const known = values.filter((value) => value !== null).sort((one, other) => one - other);
  return known.length ? known[Math.floor((known.length - 1) * 0.98)] : 0;
}

function spike(x, top) {
  return `M${x.toFixed(1)} ${top - 6}l3.5 5h-7Z`;
}

/** The next of 1, 2, 3, 4, 5, 6, 8, 10, 20, 30 … */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((each) => each * power).find((each) => each >= value * 0.999);
}

function nearest(times, x, place) {
  let best = 0;
  for (let index = 1; index < times.length; index += 1) {
    if (Math.abs(x(times[index]) - place) < Math.abs(x(times[best]) - place)) best = index;
  }
  return best;
}

/** One path; a gap where nothing is known. */
function line(times, values, x, y) {
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    path += `${isDrawing ? "L" : "M"}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`;
    isDrawing = true;
  });
  return path;
}

function area(times, values, x, y, bottom) {
  let path = "";
  let last = null;
  values.forEach((value, index) => {
    const place = x(times[index]).toFixed(1);
    if (value === null) {
      if (last !== null) path += `L${last} ${bottom}Z`;
      last = null;
      return;
    }
    if (last === null) path += `M${place} ${bottom}`;
    path += `L${place} ${y(value).toFixed(1)}`;
    last = place;
  });
  return last === null ? path : `${path}L${last} ${bottom}Z`;
}

function node(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function text(content, attributes) {
  const made = node("text", attributes);
  made.textContent = content;
  return made;
}
