import { describe, expect, it } from "vitest";
import { duration, pace } from "../src/queue/rate.ts";

const every = (gap: number, n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i * gap);

describe("pace", () => {
  it("says nothing before there is anything to tell from", () => {
    expect(pace([], 0)).toEqual({ perMinute: null, sitting: 0 });
    expect(pace(every(1000, 5), 4000).perMinute).toBeNull();
  });

  it("counts faces a minute", () => {
    expect(pace(every(2000, 20), 38_000)).toEqual({ perMinute: 30, sitting: 20 });
  });

  it("does not count a pause", () => {
    const times = [...every(2000, 10), ...every(2000, 10, 3_600_000)];
    expect(pace(times, 3_618_000)).toEqual({ perMinute: 30, sitting: 10 });
  });

  it("ends a sitting after five idle minutes", () => {
    expect(pace(every(2000, 10), 18_000 + 300_001).sitting).toBe(0);
  });
});

describe("duration", () => {
  it("is told in words", () => {
    expect(duration(10, 30)).toBe("less than a minute");
    expect(duration(30, 30)).toBe("about 1 minute");
    expect(duration(1842, 38)).toBe("about 48 minutes");
    expect(duration(10_000, 38)).toBe("about 4.4 hours");
  });
});
