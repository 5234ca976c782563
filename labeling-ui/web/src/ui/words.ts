// Numbers and names as people read them.

const counts = new Intl.NumberFormat("en-GB");

/** 1842 → 1,842 */
export function count(n: number): string {
  return counts.format(n);
}

/** `one` for 1, else `many`, with the number before it. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

const VERDICTS: Record<string, string> = { not_a_face: "not a face", unsure: "unsure", skip: "skipped" };

/** A class or a verdict in words. */
export function word(said: string): string {
  return VERDICTS[said] ?? said;
}

/** How long ago, in words. */
export function ago(then: Date, now: Date): string {
  const seconds = Math.max(0, (now.getTime() - then.getTime()) / 1000);
  if (seconds < 60) return "just now";
  const steps: [number, string][] = [
    [60, "minute"],
    [60, "hour"],
    [24, "day"],
  ];
  let value = seconds;
  let unit = "second";
  for (const [size, name] of steps) {
    if (value < size) break;
    value /= size;
    unit = name;
  }
  return value < 30 || unit !== "day"
    ? `${plural(Math.floor(value), unit)} ago`
    : then.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

/** A length of time in words, from seconds. */
export function lasting(seconds: number): string {
  if (seconds < 90) return plural(Math.round(seconds), "second");
  if (seconds < 5400) return plural(Math.round(seconds / 60), "minute");
  return `${(seconds / 3600).toFixed(1)} hours`;
}

/** A face's id as it is shown. */
export function short(faceId: string): string {
  return faceId.slice(0, 8);
}

/** The minus that a hyphen before a number stands for, as the server writes it. */
export function minus(text: string): string {
  return text.replace(/(?<![\w.])-(?=\d)/g, "−");
}

/** Two shares as they are told beside each other: with a third digit, or a fourth, where two would make them equal. */
export function besides(one: number, other: number): [string, string] {
  const told = (digits: number): [string, string] => [one.toFixed(digits), other.toFixed(digits)];
  const digits = [2, 3, 4].find((digits) => told(digits)[0] !== told(digits)[1]);
  return told(one === other ? 2 : (digits ?? 4));
}

/** A distance between two shares, with as many digits as show that there is one. */
export function gap(one: number, other: number): string {
  const between = Math.abs(one - other);
  const told = [2, 3, 4].map((digits) => between.toFixed(digits)).find((text) => Number(text) > 0);
  return between === 0 ? "0.00" : (told ?? "less than 0.0001");
}

/** A time that the server wrote. */
export function timeOf(written: string): Date {
  return new Date(/[Z+]/.test(written) ? written : `${written}Z`);
}

/** A time that the server wrote, as this place has it. */
export function moment(written: string): string {
  const time = timeOf(written);
  return time.toLocaleString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  });
}
