from tools.entra.people import after, changes, directory


def test_the_same_seed_gives_the_same_people_and_the_same_changes():
    people = directory(200, seed=7)

    assert people == directory(200, seed=7)
    assert changes(people, seed=7) == changes(people, seed=7)
    assert people != directory(200, seed=8)


def test_a_larger_directory_begins_with_the_people_of_the_smaller_one():
    assert directory(50, seed=7) == directory(200, seed=7)[:50]


def test_nobody_shares_a_user_name_or_an_external_id_not_even_after_the_changes():
    people = directory(2000, seed=7)
    now = after(people, changes(people, seed=7)).values()

    for company in (people, now):
        assert len({each.user_name.lower() for each in company}) == len(company)
        assert len({each.external_id.lower() for each in company}) == len(company)


def test_names_hold_the_letters_and_signs_that_are_easily_lost():
    people = directory(1000, seed=7)

    assert any("+" in each.user_name for each in people)
    assert any("'" in each.user_name for each in people)
    assert any(not each.family_name.isascii() for each in people)
    assert all(each.user_name.isascii() for each in people)


def test_the_restored_and_the_deleted_are_different_people_who_were_disabled_before():
    happened = changes(directory(1000, seed=7), seed=7)
    disabled = {each.number for each in happened.disabled}
    restored = {each.number for each in happened.restored}
    deleted = {each.number for each in happened.deleted}

    assert (len(disabled), len(restored), len(deleted)) == (30, 10, 10)
    assert restored | deleted < disabled
    assert not restored & deleted
    assert not disabled & {each.number for each in happened.updated}


def test_an_update_changes_something_and_keeps_the_external_id():
    people = directory(1000, seed=7)
    before = {each.number: each for each in people}

    for each in changes(people, seed=7).updated:
        assert each != before[each.number]
        assert each.external_id == before[each.number].external_id


def test_after_the_changes_the_deleted_are_gone_and_the_newcomers_are_there():
    people = directory(100, seed=7)
    happened = changes(people, seed=7)
    now = after(people, happened)

    assert not {each.number for each in happened.deleted} & now.keys()
    assert {each.number for each in happened.joined} <= now.keys()
    assert len(now) == 100 - len(happened.deleted) + len(happened.joined)


def test_the_smallest_directory_has_changes_too():
    people = directory(1, seed=7)

    assert len(after(people, changes(people, seed=7))) == 2
