// Numbers and times in words. Nothing here touches the page.

const plain = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const brief = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

export const UNKNOWN = "–";

/** 1234567 as 1,234,567. */
export function count(value) {
  return value === null || value === undefined ? UNKNOWN : plain.format(value);
}

/** A rate: one digit after the point only where it says something. */
export function rate(value) {
  if (value === null || value === undefined) return UNKNOWN;
  if (value >= 100_000) return short.format(value);
  return plain.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
}

/** A duration as a number and its unit, with one unit only. */
export function duration(seconds) {
  const size = Math.abs(seconds);
  if (size < 120) return [plain.format(Math.round(seconds)), "s"];
  if (size < 7_200) return [plain.format(Math.round(seconds / 60)), "min"];
  if (size < 172_800) return [plain.format(Math.round(seconds / 3_600)), "h"];
  return [plain.format(Math.round(seconds / 86_400)), "days"];
}

/** A short time, given in milliseconds. */
export function instant(milliseconds) {
  if (milliseconds === null) return UNKNOWN;
  return milliseconds < 1_000 ? `${rate(milliseconds)} ms` : `${rate(milliseconds / 1_000)} s`;
}

/** An amount of memory, given in MiB. */
export function memory(size) {
  if (size === null) return UNKNOWN;
  return size < 1_000 ? `${rate(size)} MiB` : `${rate(size / 1_024)} GiB`;
}

export function spelled(seconds) {
  return duration(seconds).join(" ");
}

/** How long ago a time was, `now` being the service's own clock in milliseconds. */
export function ago(iso, now) {
  if (!iso) return UNKNOWN;
  const seconds = Math.max(0, (now - Date.parse(iso)) / 1000);
  return seconds < 5 ? "now" : `${spelled(seconds)} ago`;
}

/** A moment in the reader's time zone: today only its time. */
export function moment(iso, now) {
  if (!iso) return UNKNOWN;
  const time = new Date(iso);
  const isToday = day.format(time) === day.format(new Date(now)) && Math.abs(now - time) < 86_400_000;
  return isToday ? clock.format(time) : `${day.format(time)} ${brief.format(time)}`;
}

/** The same, exact and in UTC: for the tooltip. */
export function exact(iso) {
  return iso ? new Date(iso).toISOString().replace(/\.\d+Z$/, "Z") : "";
}

/** The reader's time zone, by its name and its distance from UTC at that time. */
export function zone(time) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const minutes = -new Date(time).getTimezoneOffset();
  if (minutes === 0) return timeZone === "UTC" || !timeZone ? "UTC" : `${timeZone} (UTC)`;
  const size = Math.abs(minutes);
  const rest = size % 60 ? `:${String(size % 60).padStart(2, "0")}` : "";
  return `${timeZone} (UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${rest})`;
}

/** A share from 0 to 1; only the whole is 100 %. */
export function share(value) {
  return value >= 1 ? "100 %" : `${Math.floor(value * 100)} %`;
}

export function noun(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
