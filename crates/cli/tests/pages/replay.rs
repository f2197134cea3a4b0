//! The page of `simulate --html` in a real browser: each behaviour, driven by `browser/replay.mjs`.

behaviours!["replay.mjs":
    the_page_shows_calls_states_trips_and_settings,
    a_sweep_has_its_plot_its_table_and_the_line_to_paste,
    nothing_is_loaded_from_elsewhere_and_no_script_runs,
    names_with_markup_do_nothing,
    axe_finds_nothing_serious_in_either_theme,
    a_narrow_page_has_nothing_aside,
];
