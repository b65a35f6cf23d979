"""Sequential: flat vectors and their views, the two sweeps, copies, summary."""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan.gradcheck import check_layer

X = np.random.default_rng(2).standard_normal((4, 6))


def network(dtype="float64", **settings):
    inner = mg.Sequential([mg.BatchNorm(5), mg.Tanh()], name="inner")
    layers = [mg.Dense(6, 5), inner, mg.LeakyReLU(0.2), mg.Dropout(0.3), mg.Dense(5, 2)]
    return mg.Sequential(layers, name="net", dtype=dtype, **settings)


def test_tensors_are_views_of_one_vector():
    net = network()
    assert net.params.shape == net.grads.shape == (6 * 5 + 5 + 10 + 5 * 2 + 2,)
    assert net.buffers.shape == (10,)
    names = [name for name, _, _ in net.named_tensors()]
    assert names == [
        "0.dense.weight",
        "0.dense.bias",
        "1.sequential.0.batchnorm.gamma",
        "1.sequential.0.batchnorm.beta",
        "4.dense.weight",
        "4.dense.bias",
    ]
    net.params[:] = np.arange(net.params.size)
    joined = np.concatenate([param.reshape(-1) for _, param, _ in net.named_tensors()])
    np.testing.assert_array_equal(joined, net.params)
    net.layers[0].weight_grad[:] = 7
    assert (net.grads[:30] == 7).all()
    net.layers[1].layers[0].moving_mean[:] = 3
    assert (net.buffers[:5] == 3).all()


def test_the_views_survive_a_move():
    net = network()
    assert net.to("cpu") is net
    net.params[:] = 0
    assert not net.layers[4].weight.any()


@pytest.mark.parametrize("train", [True, False])
def test_gradients_and_second_order_of_nested_networks(train):
    check = check_layer(network(), X, train=train)
    assert check.ok, check


def test_what_nobody_needs_is_not_computed():
    """need_dx=False stops at the first layer with parameters, and asks it for no dx."""
    asked = []

    class Spy(mg.Dense):
        def backward(self, dy, cache, params=True, inputs=True):
            asked.append((params, inputs))
            return super().backward(dy, cache, params, inputs)

    class Never(mg.Flatten):
        def backward(self, dy, cache, params=True, inputs=True):
            raise AssertionError("backward of a layer below the first parameters")

    net = mg.Sequential([Never(), Spy(6, 4), mg.Tanh(), Spy(4, 1)], dtype="float64")
    y, cache = net.forward(X)
    assert net.backward(y, cache, need_dx=False) is None
    assert asked == [(True, True), (True, False)]
    expected = net.grads.copy()
    net.zero_grad()
    net.layers[0].backward = lambda dy, cache, params, inputs: dy
    net.backward(y, cache)
    np.testing.assert_array_equal(net.grads, expected)


@pytest.mark.host
def test_the_trace_spares_the_second_backward():
    net = network()
    y, cache = net.forward(X)
    dy, dx_bar = np.ones_like(y), np.ones_like(X)
    trace = []
    net.backward(dy, cache, trace=trace)
    assert isinstance(trace[1], list) and trace[-1] is dy
    net.zero_grad()
    with_trace = net.double_backward(dx_bar, trace, cache)
    grads = net.grads.copy()
    net.zero_grad()
    without = net.double_backward(dx_bar, dy, cache)
    for one, other in zip((*with_trace, grads), (*without, net.grads)):
        np.testing.assert_array_equal(one, other)


def test_piecewise_linear_networks_have_no_second_sweep():
    net = mg.Sequential([mg.Dense(6, 4), mg.LeakyReLU(0.1), mg.Dense(4, 1)], dtype="float64")
    y, cache = net.forward(X)
    dy_bar, x_bar = net.double_backward(np.ones_like(X), np.ones_like(y), cache)
    assert x_bar is None and dy_bar.shape == y.shape


def test_clone_is_equal_and_independent():
    net = network("float32", seed=5)
    net.forward(X.astype("float32"))
    copy = net.clone("float64")
    np.testing.assert_array_equal(copy.params, net.params.astype("float64"))
    np.testing.assert_array_equal(copy.buffers, net.buffers.astype("float64"))
    copy.params[:] = 0
    assert net.params.any()
    net.begin_step(3)
    copy = net.clone()
    copy.begin_step(3)
    np.testing.assert_array_equal(
        net.forward(X.astype("float32"))[0], copy.forward(X.astype("float32"))[0]
    )


def test_initial_weights_depend_on_seed_and_name_not_on_the_dtype():
    def weights(**settings):
        return mg.Sequential([mg.Dense(6, 5)], **settings).params

    base = weights(seed=1, name="a")
    np.testing.assert_array_equal(base, weights(seed=1, name="a"))
    np.testing.assert_array_equal(base, weights(seed=1, name="a", dtype="float64").astype("f4"))
    assert (base != weights(seed=2, name="a")).any()
    assert (base != weights(seed=1, name="b")).any()


def test_layers_of_one_network_draw_different_weights():
    net = mg.Sequential([mg.Dense(5, 5), mg.Dense(5, 5)])
    assert (net.layers[0].weight != net.layers[1].weight).any()


def test_summary_counts_and_shapes():
    text = network().summary(input_shape=(6,))
    assert text.splitlines()[-1].split() == ["net", "57", "10"]
    assert "0  Dense(6, 5)" in text and text.splitlines()[2].split()[-3:] == ["5", "35", "0"]


def test_a_layer_used_twice_or_no_layer_is_refused():
    dense = mg.Dense(4, 4)
    with pytest.raises(ValueError, match="twice"):
        mg.Sequential([dense, dense])
    with pytest.raises(TypeError, match="item 1"):
        mg.Sequential([dense, max])


@pytest.mark.parametrize("mode", ["train", "evaluate", "always"])
@pytest.mark.parametrize("size", [6, 2**17])  # the larger one goes over the cores
@pytest.mark.parametrize("slope", [0.2, 0.0])
def test_a_gate_is_a_leaky_relu_and_a_dropout(slope, size, mode):
    train = mode == "train"
    layers = [mg.LeakyReLU(slope), mg.Dropout(0.3, always=mode == "always")]
    net = mg.Sequential(layers, dtype="float64")
    assert [type(layer).__name__ for layer in net._passes] == ["_Gate", "Dropout"]
    x, dy, dx_bar = np.random.default_rng(4).standard_normal((3, 3, size))

    net.begin_step(5)
    y, cache = net.forward(x, train)
    dx, (dy_bar, x_bar) = net.backward(dy, cache), net.double_backward(dx_bar, dy, cache)

    net.begin_step(5)  # the same masks
    middle, first_cache = layers[0].forward(x, train)
    expected, mask = layers[1].forward(middle, train)
    np.testing.assert_allclose(y, expected, rtol=1e-15)
    expected = layers[0].backward(layers[1].backward(dy, mask), first_cache)
    np.testing.assert_allclose(dx, expected, rtol=1e-15)
    up, _ = layers[0].double_backward(dx_bar, dy, first_cache)
    np.testing.assert_allclose(dy_bar, layers[1].double_backward(up, dy, mask)[0], rtol=1e-15)
    assert x_bar is None
    net.forward(x, train)
    assert layers[1].calls[train] == (2 if mode != "evaluate" else 0)  # of this step's masks


def test_a_gate_stands_for_plain_layers_only():
    class Louder(mg.Dropout):
        def forward(self, x, train=True):
            return 2 * x, None

    class Twice(mg.LeakyReLU):
        def forward(self, x, train=True):
            return 2 * x, None

    layers = [mg.LeakyReLU(), Louder(0.3), Twice(), mg.Dropout(0.3), mg.ReLU(), mg.Dropout(0.3)]
    net = mg.Sequential(layers, dtype="float64")
    assert tuple(net._passes) == net.layers
    y, _ = net.forward(np.ones((1, 4)), train=False)
    np.testing.assert_array_equal(y, [[4.0] * 4])


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("rectifier", [mg.ReLU(), mg.LeakyReLU(0.2)], ids=repr)
@pytest.mark.parametrize("shape", [(9, 4), (3, 5, 2, 4)])
def test_on_a_gpu_a_batchnorm_and_its_rectifier_are_one(gpu, shape, rectifier, train):
    """Each pass and gradient is that of the two layers by themselves on the CPU."""
    norm, rng = mg.BatchNorm(4, momentum=0.5), np.random.default_rng(4)
    net = mg.Sequential([norm, copy.copy(rectifier), mg.Dropout(0.0)], dtype="float64")
    for tensor in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance):
        tensor[...] = rng.uniform(-1, 1, 4) + (1.1 if tensor is norm.moving_variance else 0)
    there = copy.deepcopy(net).to("gpu")
    assert [type(p).__name__ for p in there._passes] == ["_NormLeaky", "Dropout", "Dropout"]
    x, dy, dx_bar = rng.standard_normal((3, *shape))

    def all_of(net, *arrays):
        x, dy, dx_bar = (net.xp.asarray(array) for array in arrays)
        net.begin_step(3)
        net.zero_grad()
        y, cache = net.forward(x, train)
        dx = net.backward(dy, cache)
        dy_bar, x_bar = net.double_backward(dx_bar, dy, cache)
        assert net.backward(dy, cache, params=False, need_dx=False) is None
        results = [y, dx, dy_bar, *([] if x_bar is None else [x_bar]), net.grads, net.buffers]
        return [mg.to_host(result) for result in results]

    expected, found = all_of(net, x, dy, dx_bar), all_of(there, x, dy, dx_bar)
    assert len(expected) == len(found)
    for one, other in zip(expected, found):
        np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)


def test_what_is_no_batchnorm_of_the_last_axis_is_by_itself_on_a_gpu(gpu):
    class Other(mg.BatchNorm):
        pass

    layers = [Other(4), mg.ReLU(), mg.BatchNorm(5, axis=1), mg.ReLU(), mg.LayerNorm(4), mg.ReLU()]
    net = mg.Sequential(layers, dtype="float64").to("gpu")
    assert tuple(net._passes) == net.layers


# One vector, whatever one does.


def trained_once(net, opt):
    """The output before and after a step of the optimizer."""
    x = X[:, :6].astype(net.dtype)
    before, cache = net.forward(x, train=False)
    net.zero_grad()
    net.backward(np.ones_like(before), cache)
    opt.step()
    return before, net.forward(x, train=False)[0]


def assert_one_vector(net):
    """Assert that what trains is what computes: every tensor is a view of the network's vectors."""
    tensors = list(net.named_tensors())
    net.params[:] = np.arange(net.params.size)
    net.grads[:] = -np.arange(net.params.size)
    for which, sign in ((1, 1), (2, -1)):
        joined = np.concatenate([tensor[which].reshape(-1) for tensor in tensors])
        np.testing.assert_array_equal(joined, sign * np.arange(net.params.size))
    net.buffers[:] = 7
    assert all((layer.buffers == 7).all() for layer in net.layers)


def test_assigning_a_tensor_copies_into_it():
    net = network()
    layer, vector = net.layers[0], net.params
    layer.weight = np.full((6, 5), 2.0)
    layer.weight_grad = np.full((6, 5), 3.0)
    layer.bias = [1.0, 2.0, 3.0, 4.0, 5.0]
    net.layers[1].layers[0].moving_mean = np.arange(5.0)
    assert (net.params[:30] == 2).all() and (net.grads[:30] == 3).all()
    assert (net.params[30:35] == np.arange(1, 6)).all() and (net.buffers[:5] == np.arange(5)).all()
    layer.weight += 1
    assert (net.params[:30] == 3).all()
    net.params = np.arange(net.params.size)
    assert net.params is vector and layer.weight[0, 1] == 1
    for name, values in (("grads", net.grads + 4), ("buffers", net.buffers * 0)):
        setattr(net, name, values)
    assert (net.layers[0].weight_grad == 7).all() and not net.layers[1].layers[0].moving_mean.any()
    assert_one_vector(net)


@pytest.mark.parametrize("name, values", [
    ("weight", np.ones(5)), ("weight", np.ones((5, 6))), ("weight", 1.0),
    ("weight_grad", np.ones(3)), ("params", np.ones(3)), ("grads", np.ones((1, 35))),
])  # fmt: skip
def test_what_is_assigned_has_the_tensors_shape(name, values):
    with pytest.raises(ValueError, match=f"{name} has shape .*, what is assigned"):
        setattr(mg.Dense(6, 5).build(), name, values)


@pytest.mark.parametrize("name", ["weight", "weight_grad", "params", "grads", "buffers"])
def test_nothing_is_assigned_before_there_is_a_place_for_it(name):
    with pytest.raises(AttributeError, match="yet: call build"):
        setattr(mg.BatchNorm(6) if name == "buffers" else mg.Dense(6, 5), name, np.ones(30))


def test_the_layers_of_a_network_stay_its_layers():
    net = network()
    with pytest.raises(TypeError, match="tuple"):
        net.layers[0] = mg.Dense(6, 5)
    with pytest.raises(AttributeError, match="append"):
        net.layers.append(mg.Tanh())
    with pytest.raises(AttributeError, match="layers"):
        net.layers = [mg.Tanh()]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
@pytest.mark.parametrize("make", [
    lambda net: mg.Adam(net, 0.1), lambda net: mg.RMSProp(net, 0.1), lambda net: mg.SGD(net, 0.1),
])  # fmt: skip
def test_copies_train(make, copied):
    net = network(seed=4)
    opt = make(net)
    trained_once(net, opt)
    twin, twin_opt = copied((net, opt))
    assert twin_opt.network is twin and twin_opt.t == 1 and twin.kernels is net.kernels
    for name, state in opt.state.items():
        np.testing.assert_array_equal(twin_opt.state[name], state)
    before, after = trained_once(twin, twin_opt)
    assert (before != after).any()
    np.testing.assert_array_equal(trained_once(net, opt), (before, after))
    assert_one_vector(twin)
    np.testing.assert_array_equal(net.forward(X, train=False)[0], after)


def test_a_copy_of_a_layer_is_a_layer_of_its_own():
    net = network()
    layer = copy.deepcopy(net.layers[0])
    layer.weight[:] = 5
    assert (layer.params[:30] == 5).all() and not (net.params[:30] == 5).any()
    mg.Sequential([layer])  # and may have another network


def test_a_layer_has_one_network():
    net = network()
    with pytest.raises(ValueError, match=r"Dense\(6, 5\) is part of Sequential\('net'"):
        mg.Sequential(net.layers)
    with pytest.raises(ValueError, match="use its clone"):
        mg.Sequential([net.layers[4]], name="head")
    assert_one_vector(net)
    assert_one_vector(mg.Sequential([layer.clone() for layer in net.layers], dtype="float64"))


def test_networks_in_a_network_keep_their_weights():
    G = mg.Sequential([mg.Dense(6, 3), mg.BatchNorm(3)], name="G", seed=1)
    D = mg.Sequential([mg.Dense(3, 1)], name="D", seed=2)
    G.buffers += 1
    params, buffers = np.concatenate([G.params, D.params]), G.buffers.copy()
    whole = mg.Sequential([G, D], name="GAN", seed=3)
    np.testing.assert_array_equal(whole.params, params)
    np.testing.assert_array_equal(whole.buffers, buffers)
    opt = mg.SGD(D, 0.1)
    whole.params[-4:] = 0
    assert not D.params.any() and not D.layers[0].weight.any()
    D.grads[:] = 1
    opt.step()
    assert (whole.params[-4:] != 0).all()
    assert_one_vector(whole)


# What a network is not given.


@pytest.mark.parametrize("layers", [[mg.Dense(6, 5)], [mg.Tanh()], [mg.Flatten()]])
def test_a_network_takes_arrays_of_its_dtype(layers):
    net = mg.Sequential([layer.clone() for layer in layers])
    with pytest.raises(TypeError, match="expected a NumPy or CuPy array, got list"):
        net.forward(X.tolist())
    with pytest.raises(TypeError, match="its input is uint8: convert the input$"):
        net.forward(X.astype("uint8"))
    with pytest.raises(TypeError, match="or build the network with dtype='float64'"):
        net.forward(X)


def test_a_layer_of_ones_own_says_what_it_lacks():
    class Own(mg.Layer):
        def forward(self, x, train=True):
            return x, None

    class Late(mg.Layer):
        def __init__(self):
            self.declare("w", (1,), mg.init.Constant())

    class Forgetful(mg.Layer):
        def __init__(self, rate):
            super().__init__()

    class Taps(mg.layers.Convolution):
        pass

    net = mg.Sequential([mg.Dense(6, 1), Own()], dtype="float64")
    y, cache = net.forward(X)
    with pytest.raises(NotImplementedError, match="Own has no backward"):
        net.backward(y, cache)
    Own.backward = lambda self, dy, cache, params=True, need_dx=True: dy if need_dx else None
    with pytest.raises(NotImplementedError, match="no double_backward.*second_order=False"):
        mg.penalty.r1(net, X)
    with pytest.raises(NotImplementedError, match="second_order=False"):
        check_layer(Own(), X)
    assert check_layer(Own(), X, second_order=False).ok
    with pytest.raises(AttributeError, match="must begin with super"):
        Late()
    with pytest.raises(AttributeError, match="does not keep its argument 'rate'"):
        repr(Forgetful(0.5))
    with pytest.raises(NotImplementedError, match="Taps has no weight_channels"):
        Taps(1, 2, 3)
