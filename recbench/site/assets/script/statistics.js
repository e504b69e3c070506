// One comparison, as recbench.stats makes it.

const SEED = 20261122;
const RESAMPLES = 9999;
const Z = 1.959963984540054;

function generator(seed) {
  // mulberry32
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

function logGamma(x) {
  // Stirling's series, after shifting x to where it is exact
  let shift = 0;
  for (; x < 10; x += 1) shift += Math.log(x);
  const x2 = x * x;
  const series = 1 / (12 * x) - 1 / (360 * x * x2) + 1 / (1260 * x * x2 * x2);
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

// the t distribution's quantile at .975: Simpson's rule for the distribution, then bisection
function tQuantile(freedom) {
  const scale =
    Math.exp(logGamma((freedom + 1) / 2) - logGamma(freedom / 2)) / Math.sqrt(freedom * Math.PI);
  const density = (x) => scale * Math.exp((-(freedom + 1) / 2) * Math.log1p((x * x) / freedom));
  const below = (x) => {
    const n = 2000;
    let sum = density(0) + density(x);
    for (let i = 1; i < n; i += 1) sum += density((x * i) / n) * (i % 2 ? 4 : 2);
    return (sum * x) / n / 3;
  };
  let [low, high] = [1, 15];
  for (let i = 0; i < 50; i += 1) {
    const middle = (low + high) / 2;
    if (below(middle) < 0.475) low = middle;
    else high = middle;
  }
  return low;
}

function quantile(sorted, share) {
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

function permutationP(differences) {
  const differing = differences.filter((value) => value !== 0);
  const k = differing.length;
  if (k < 2) return 1;
  const size = Math.max(...differing.map(Math.abs));
  const observed = Math.abs(differing.reduce((sum, value) => sum + value, 0)) - 1e-12 * differences.length * size;
  let reached = 0;
  if (2 ** k <= RESAMPLES + 1) {
    for (let pattern = 0; pattern < 2 ** k; pattern += 1) {
      let sum = 0;
      for (let i = 0; i < k; i += 1) sum += (pattern >> i) & 1 ? -differing[i] : differing[i];
      reached += Math.abs(sum) >= observed;
    }
    return reached / 2 ** k;
  }
  const next = generator(SEED);
  for (let draw = 0; draw < RESAMPLES; draw += 1) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < k; i += 1) {
      if (i % 32 === 0) bits = next();
      sum += (bits >>> i % 32) & 1 ? -differing[i] : differing[i];
    }
    reached += Math.abs(sum) >= observed;
  }
  return (reached + 1) / (RESAMPLES + 1);
}

// bootstrap over users, widened by sqrt(U / (U - 1)) and from the normal to the t distribution
function bootstrapInterval(differences, counts) {
  const users = differences.length;
  if (users < 2) return null;
  const total = counts.reduce((sum, value) => sum + value, 0);
  const estimate = differences.reduce((sum, value) => sum + value, 0) / total;
  const squares = Array.from(differences, (value, i) => (value - estimate * counts[i]) ** 2);
  const sum = squares.reduce((a, b) => a + b, 0);
  const heavy = squares.reduce((a, b) => a + b * b, 0) - sum ** 2 / users;
  const freedom = heavy > 0 ? Math.max(1, Math.min(users - 1, (2 * sum ** 2) / heavy)) : users - 1;
  const wider = (Math.sqrt(users / (users - 1)) * tQuantile(freedom)) / Z;
  const next = generator(SEED + 1);
  const moved = new Float64Array(RESAMPLES);
  for (let draw = 0; draw < RESAMPLES; draw += 1) {
    let above = 0;
    let below = 0;
    for (let i = 0; i < users; i += 1) {
      const user = Math.floor((next() / 4294967296) * users);
      above += differences[user];
      below += counts[user];
    }
    moved[draw] = above / below - estimate;
  }
  moved.sort();
  return [estimate + wider * quantile(moved, 0.025), estimate + wider * quantile(moved, 0.975)];
}

function compare(a, b, counts) {
  // rounding next to 0 is a tie
  const differences = Array.from(a, (value, i) =>
    Math.abs(value - b[i]) < 1e-12 * counts[i] ? 0 : value - b[i],
  );
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  return {
    difference: sum(differences) / sum(counts),
    p: permutationP(differences),
    interval: bootstrapInterval(differences, counts),
    higher: differences.filter((value) => value > 0).length,
    equal: differences.filter((value) => value === 0).length,
    lower: differences.filter((value) => value < 0).length,
    byUser: sum(differences.map((value, i) => value / counts[i])) / differences.length,
  };
}
