import { expect, it } from "vitest";
import { besides, gap, minus, timeOf } from "../src/ui/words.ts";

it("tells two shares apart where two digits do not", () => {
  expect(besides(0.74, 0.83)).toEqual(["0.74", "0.83"]);
  expect(besides(0.748, 0.749)).toEqual(["0.748", "0.749"]);
  expect(besides(0.74812, 0.74834)).toEqual(["0.7481", "0.7483"]);
  expect(besides(0.75, 0.75)).toEqual(["0.75", "0.75"]);
  // Nearer than anybody can tell.
  expect(besides(0.75, 0.7500001)).toEqual(["0.7500", "0.7500"]);
});

it("never says that a distance is none where there is one", () => {
  expect(gap(0.74, 0.83)).toBe("0.09");
  expect(gap(0.749, 0.748)).toBe("0.001");
  expect(gap(0.7481, 0.7483)).toBe("0.0002");
  expect(gap(0.75, 0.7500001)).toBe("less than 0.0001");
  expect(gap(0.75, 0.75)).toBe("0.00");
});

it("writes a minus before numbers, and leaves hyphens alone", () => {
  expect(minus("macro-F1 0.2855 after 0.2869: a change of -0.0014, on 2026-11-28")).toBe(
    "macro-F1 0.2855 after 0.2869: a change of −0.0014, on 2026-11-28",
  );
});

it("takes the server's times for what they are, in UTC", () => {
  expect(timeOf("2026-11-26T17:42:11").getTime()).toBe(Date.UTC(2026, 10, 26, 17, 42, 11));
  expect(timeOf("2026-11-26T17:42:11Z").getTime()).toBe(Date.UTC(2026, 10, 26, 17, 42, 11));
});
