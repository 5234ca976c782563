// From a key event to the name of a key, and back to words. Digits go by their place, so that layouts with digits under
// Shift need none; everything else goes by what it types.

export interface Press {
  key: string;
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

const DIGIT = /^(?:Digit|Numpad)([0-9])$/;
const LETTER = /^Key([A-Z])$/;

/** The name of what was pressed, such as `s`, `digit1`, `mod+shift+z`; null for a press that is no shortcut. */
export function nameOf(press: Press): string | null {
  const { key } = press;
  if (["Shift", "Control", "Alt", "Meta", "AltGraph", "Dead", "Process", "Unidentified"].includes(key)) return null;
  const isMod = press.ctrlKey || press.metaKey;
  // AltGr comes as Ctrl and Alt together where it types a character, and is part of that character.
  const isAltGr = press.ctrlKey && press.altKey && key.length === 1;
  if (press.altKey && !isAltGr) return null;
  const digit = DIGIT.exec(press.code)?.[1];
  if (digit !== undefined && !isMod && (!press.shiftKey || /^[0-9]$/.test(key))) return `digit${digit}`;
  const isTyped = key.length === 1;
  let name = key === " " ? "space" : key.toLowerCase();
  // Keyboards of other scripts: a letter's place on the Latin one.
  const letter = LETTER.exec(press.code)?.[1];
  if (isTyped && letter && name.charCodeAt(0) > 127) name = letter.toLowerCase();
  if (isMod && !isAltGr) return press.shiftKey ? `mod+shift+${name}` : `mod+${name}`;
  // Shift makes another character, or leaves letters and named keys something else than their plain selves.
  if (press.shiftKey && (!isTyped || name !== key || name === "space")) return `shift+${name}`;
  return name;
}

const isApple = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

const WORDS: Record<string, string> = {
  mod: isApple ? "⌘" : "Ctrl",
  shift: "Shift",
  enter: "Enter",
  space: "Space",
  escape: "Esc",
  arrowleft: "←",
  arrowright: "→",
  arrowup: "↑",
  arrowdown: "↓",
  "-": "−",
};

/** A key as it is written on its button. */
export function written(name: string): string {
  const press = (one: string) =>
    one
      // A plus itself has nothing on one of its sides.
      .split(/(?<=.)\+(?=.)/)
      .map((part) => WORDS[part] ?? part.replace(/^digit/, ""))
      .map((part) => (part.length === 1 ? part.toUpperCase() : part))
      .join(" ");
  return name.split(" ").map(press).join(" ");
}

/** A key as aria-keyshortcuts wants it; a sequence has no form there. */
export function spoken(name: string): string | undefined {
  if (name.includes(" ")) return undefined;
  return name
    .split(/(?<=.)\+(?=.)/)
    .map((part) => (part === "mod" ? (isApple ? "Meta" : "Control") : part.replace(/^digit/, "")))
    .map((part) => (part.length > 1 ? part[0]?.toUpperCase() + part.slice(1) : part))
    .join("+");
}

/** Presses of one plain key, which a switch turns off for those who press keys by accident or by voice. */
export function isSingle(name: string): boolean {
  return !name.startsWith("mod+") && !/^(enter|escape|space|arrow.*|tab|shift\+.*)$/.test(name);
}

/** Matches presses against keys; of a sequence the second one must follow within a second. */
export class Sequence {
  private first: string | null = null;
  private at = 0;

  /** The keys that this press completes: a sequence before a single key. */
  press(name: string, time: number, begins: (first: string) => boolean): string[] {
    const first = this.first !== null && time - this.at <= 1000 ? this.first : null;
    this.first = null;
    // What follows the first key of a sequence belongs to it, and to nothing else.
    if (first !== null) return [`${first} ${name}`];
    if (begins(name)) {
      this.first = name;
      this.at = time;
      return [];
    }
    return [name];
  }
}
