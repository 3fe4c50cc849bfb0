/** What is chosen on the page, and who wants to know when it changes. */

/**
 * @typedef {object} Chosen
 * @property {number} t  step, from 0 in the page
 * @property {number} place  index of a place
 * @property {number} unit  number of a unit in the model
 * @property {string} value  name of the value that colours the text
 * @property {string} order  of the units in strips and heat maps
 * @property {number[]} pinned  units whose lines are drawn
 * @property {"light"|"dark"} theme
 */

/** @param {Chosen} first */
export function createStore(first) {
  const state = { ...first };
  /** @type {Set<{keys: string[], run: (state: Chosen) => void}>} */
  const listeners = new Set();

  /** @param {Partial<Chosen>} change */
  function set(change) {
    const changed = Object.keys(change).filter((key) => state[key] !== change[key]);
    if (!changed.length) return;
    Object.assign(state, change);
    for (const listener of [...listeners]) {
      if (listeners.has(listener) && listener.keys.some((key) => changed.includes(key))) {
        listener.run(state);
      }
    }
  }

  /** A view of the store whose listeners can be taken away together. */
  function scope() {
    const own = [];
    return {
      state,
      set,
      scope,
      /**
       * Call `run` now, and whenever one of `keys` changes.
       * @param {string[]} keys
       * @param {(state: Chosen) => void} run
       */
      on(keys, run) {
        const listener = { keys, run };
        own.push(listener);
        listeners.add(listener);
        run(state);
      },
      dispose() {
        own.forEach((listener) => listeners.delete(listener));
      },
    };
  }
  return scope();
}

/**
 * A part of the page that is built anew for each place.
 * @param {any} store
 * @param {{places: any[]}} run
 * @param {(scope: any, place: any) => any} build  gives an element or a list of them
 * @param {HTMLElement} into
 */
export function perPlace(store, run, build, into) {
  let scope = null;
  let shown = null;
  store.on(["place"], ({ place }) => {
    const found = run.places[Math.min(place, run.places.length - 1)];
    if (found === shown) return;
    shown = found;
    scope?.dispose();
    scope = store.scope();
    into.replaceChildren(...[build(scope, found)].flat().filter(Boolean));
  });
  return into;
}
